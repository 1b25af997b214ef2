-- SPDX-License-Identifier: MIT
-- Shell completions from the same option tables as --help.
local cli = require "flake.cli"
local loader = require "flake.loader"

local M = {}

local PROGRAMS = "flake-ctl flake-ctl-podman flake-ctl-build flake-studio"

-- Words that complete a command line: {["podman register"] = {"--app", …}, ["list"] = …}
local function words_of(options)
  local words = { "--help" }
  for _, option in ipairs(options or {}) do
    if not option.positional then table.insert(words, "--" .. option.name) end
  end
  table.sort(words)
  return words
end

-- A runtime, or a command with verbs.
local function add_verbs(found, name, driver, words)
  local verbs = cli.verbs(driver)
  table.insert(found, { path = { name }, about = driver.about, words = words, verbs = verbs })
  for _, verb in ipairs(verbs) do
    local command = driver.commands[verb]
    table.insert(found, { path = { name, verb }, about = command.about,
      options = command.options, words = words_of(command.options) })
  end
end

--- All commands with about texts and option words: array of {path={"podman","register"}, about=,
-- words={…}, options={…}}, sorted.
function M.commands()
  local found = {}
  for _, kind in ipairs { "commands", "runtimes" } do
    for _, name in ipairs(loader.names(kind)) do
      local driver = loader.load(kind, name)
      if driver and driver.commands then
        add_verbs(found, name, driver, kind == "runtimes" and { "--help", "--user" }
          or { "--help" })
      elseif driver then
        table.insert(found, { path = { name }, about = driver.about, options = driver.options,
          words = words_of(driver.options) })
      end
    end
  end
  return found
end

local function top_words(commands)
  local words = {}
  for _, command in ipairs(commands) do
    if #command.path == 1 then table.insert(words, command.path[1]) end
  end
  return words
end

local function words_line(command)
  local words = table.move(command.words, 1, #command.words, 1, {})
  for _, verb in ipairs(command.verbs or {}) do table.insert(words, verb) end
  for _, option in ipairs(command.options or {}) do
    for _, choice in ipairs(option.choices or {}) do table.insert(words, choice) end
  end
  return table.concat(words, " ")
end

-- The body that bash and zsh (through bashcompinit) share.
function M.bash(commands)
  local out = {}
  local function add(...) table.insert(out, (...):format(select(2, ...))) end
  add("# bash completion of flake-ctl; made by: flake-ctl completion bash")
  add("_flake_ctl() {")
  add("\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i words line=")
  add("\tfor ((i = 1; i < COMP_CWORD; i++)); do")
  add("\t\t[[ ${COMP_WORDS[i]} == -* ]] || line+=\"${line:+ }${COMP_WORDS[i]}\"")
  add("\tdone")
  add("\tcase ${COMP_WORDS[0]##*/} in")
  add("\tflake-studio) line=\"studio $line\" ;;")
  add("\tflake-ctl-*) line=\"${COMP_WORDS[0]##*flake-ctl-} $line\" ;;")
  add("\tesac")
  add("\tcase $prev in")
  add("\t--oci|--root|--app|--target) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;")
  add("\tesac")
  add("\tcase \"$line \" in")
  for i = #commands, 1, -1 do
    add("\t\"%s \"*) words='%s' ;;", table.concat(commands[i].path, " "), words_line(commands[i]))
  end
  add("\t*) words='--help --version --debug %s' ;;", table.concat(top_words(commands), " "))
  add("\tesac")
  add("\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))")
  add("\t[[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- \"$cur\"))")
  add("}")
  add("complete -F _flake_ctl flake-ctl flake-ctl-podman flake-ctl-build " ..
    "flake-ctl-build-dpkg flake-ctl-build-rpmbuild")
  return table.concat(out, "\n") .. "\n"
end

function M.zsh(commands)
  return ("#compdef %s\n# made by: flake-ctl completion zsh\n"):format(PROGRAMS)
    .. "autoload -U bashcompinit && bashcompinit\n" .. M.bash(commands)
end

local function fish_quote(text)
  return "'" .. text:gsub("[\\']", "\\%0") .. "'"
end

-- What the words and options of a command complete for a program.
local function fish_command(out, program, command, when, word)
  table.insert(out, ("complete -c %s -f -n %s -a %s -d %s"):format(program, fish_quote(when), word,
    fish_quote(command.about)))
  local inside = "__fish_seen_subcommand_from " .. word
  for _, option in ipairs(command.options or {}) do
    if not option.positional then
      table.insert(out, ("complete -c %s -n %s -l %s -d %s%s"):format(program, fish_quote(inside),
        option.name, fish_quote(option.about), option.flag and "" or " -r"))
    end
  end
end

function M.fish(commands)
  local out = { "# fish completion of flake-ctl; made by: flake-ctl completion fish" }
  for _, command in ipairs(commands) do
    local name, verb = command.path[1], command.path[2]
    local first = "__fish_use_subcommand"
    fish_command(out, "flake-ctl", command, verb and "__fish_seen_subcommand_from " .. name
      or first, verb or name)
    if name == "studio" and verb then fish_command(out, "flake-studio", command, first, verb) end
  end
  return table.concat(out, "\n") .. "\n"
end

return M
