-- SPDX-License-Identifier: MIT
-- Shell completions from the same option tables as --help.
local cli = require "flake.cli"
local loader = require "flake.loader"

local M = {}

-- Words that complete a command line: {["podman register"] = {"--app", …}, ["list"] = …}
local function words_of(options)
  local words = { "--help" }
  for _, option in ipairs(options or {}) do
    if not option.positional then table.insert(words, "--" .. option.name) end
  end
  table.sort(words)
  return words
end

-- An engine, or a command with verbs, which may have a program of its own name.
local function add_verbs(found, name, driver, words)
  local verbs = cli.verbs(driver)
  local program = driver.program or "flake-ctl-" .. name
  table.insert(found, { path = { name }, about = driver.about, words = words, verbs = verbs,
    program = program })
  for _, verb in ipairs(verbs) do
    local command = driver.commands[verb]
    table.insert(found, { path = { name, verb }, about = command.about, program = program,
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
          words = words_of(driver.options),
          program = driver.type == "PACKAGER" and "flake-ctl-" .. name or nil })
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
    for _, choice in ipairs(option.positional and option.choices or option.words or {}) do
      table.insert(words, choice)
    end
  end
  return table.concat(words, " ")
end

-- flake-ctl, flake-ctl-NAME of the engines and packagers, and flake-studio.
local function programs(commands)
  local names = { "flake-ctl" }
  for _, command in ipairs(commands) do
    if command.program and not command.path[2] then table.insert(names, command.program) end
  end
  return table.concat(names, " ")
end

local BASH_HEAD = [=[
# bash completion of flake-ctl; made by: flake-ctl completion bash
_flake_ctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local before= i words= line=
	# --option=value is one word, or three where = breaks words.
	case $cur in
	--*=*) before=${cur%%=*}= prev=${cur%%=*} cur=${cur#*=} ;;
	=) cur= ;;
	*) [[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD-2]} ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == [-=]* ]] || line+="${line:+ }${COMP_WORDS[i]}"
	done
	case ${COMP_WORDS[0]##*/} in
	flake-studio) line="studio${line:+ }$line" ;;
	flake-ctl-*) line="${COMP_WORDS[0]##*flake-ctl-}${line:+ }$line" ;;
	esac
	# What can be helped with are the commands themselves.
	case $line in
	help|help\ *) line=${line#help} line=${line# } ;;
	esac
	case $prev in
	--oci|--root|--app|--target) COMPREPLY=($(compgen -P "$before" -f -- "$cur")); return ;;
	esac
]=]

local BASH_TAIL = [=[
	COMPREPLY=($(compgen -P "$before" -W "$words" -- "$cur"))
	[[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -P "$before" -f -- "$cur"))
}
]=]

-- The values of options, before the words of commands.
local function add_choices(add, commands)
  add("\tcase \"$line $prev\" in")
  for i = #commands, 1, -1 do
    for _, option in ipairs(commands[i].options or {}) do
      if option.choices and not option.positional then
        add("\t\"%s \"*--%s) words='%s' ;;", table.concat(commands[i].path, " "), option.name,
          table.concat(option.choices, " "))
      end
    end
  end
  add("\tesac")
end

-- The body that bash and zsh (through bashcompinit) share.
function M.bash(commands)
  local out = {}
  local function add(...) table.insert(out, (...):format(select(2, ...)) .. "\n") end
  table.insert(out, BASH_HEAD)
  add_choices(add, commands)
  add("\t[[ -n $words ]] || case \"$line \" in")
  for i = #commands, 1, -1 do
    add("\t\"%s \"*) words='%s' ;;", table.concat(commands[i].path, " "), words_line(commands[i]))
  end
  add("\t*) words='--help --version --debug %s' ;;", table.concat(top_words(commands), " "))
  add("\tesac")
  table.insert(out, BASH_TAIL)
  add("complete -F _flake_ctl %s", programs(commands))
  return table.concat(out)
end

-- zsh loads the file as the body of _flake-ctl at the first completion, which it must answer.
function M.zsh(commands)
  return ("#compdef %s\n# made by: flake-ctl completion zsh\n"
    .. "autoload -U bashcompinit && bashcompinit\n%s"
    .. "[[ ${funcstack[1]} != _flake-ctl ]] || _bash_complete -F _flake_ctl\n")
    :format(programs(commands), M.bash(commands))
end

local function fish_quote(text)
  return "'" .. text:gsub("[\\']", "\\%0") .. "'"
end

-- The lines of a command's options for a program.
local function fish_options(add, program, command)
  local inside = "__fish_seen_subcommand_from " .. (command.path[2] or command.path[1])
  for _, option in ipairs(command.options or {}) do
    local choices = option.choices and " -a " .. fish_quote(table.concat(option.choices, " ")) or ""
    if not option.positional then
      add("complete -c %s -n %s -l %s -d %s%s", program, fish_quote(inside), option.name,
        fish_quote(option.about), option.flag and "" or (choices ~= "" and " -x" or " -r")
        .. choices)
    elseif choices ~= "" then
      add("complete -c %s -f -n %s%s", program, fish_quote(inside), choices)
    end
  end
end

local function fish_word(add, program, when, word, about)
  add("complete -c %s -f -n %s -a %s -d %s", program, fish_quote(when), fish_quote(word),
    fish_quote(about))
end

function M.fish(commands)
  local out = { "# fish completion of flake-ctl; made by: flake-ctl completion fish\n" }
  local function add(...) table.insert(out, (...):format(select(2, ...)) .. "\n") end
  for _, command in ipairs(commands) do
    local name, verb = command.path[1], command.path[2]
    if verb then
      fish_word(add, "flake-ctl", "__fish_seen_subcommand_from " .. name, verb, command.about)
      fish_word(add, command.program, "__fish_use_subcommand", verb, command.about)
      fish_options(add, command.program, command)
    else
      fish_word(add, "flake-ctl", "__fish_use_subcommand", name, command.about)
      fish_word(add, "flake-ctl", "__fish_seen_subcommand_from help", name, command.about)
    end
    fish_options(add, "flake-ctl", command)
  end
  return table.concat(out)
end

return M
