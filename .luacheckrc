std = "lua54"
max_line_length = 100
exclude_files = { "build", "build-san", "build-cov" }
files["tests/spec"] = { std = "+busted" }
files["doc/examples/hooks"] = { read_globals = { "flake" } }
