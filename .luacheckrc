std = "lua54"
max_line_length = 100
exclude_files = { "build*" }
files["tests/spec"] = { std = "+busted" }
files["doc/examples/hooks"] = { read_globals = { "flake" } }
