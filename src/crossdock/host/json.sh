# --- Keys that are added to JSON files ----------------------------------------------------------------------------
# Nothing of a file is lost, reordered or shown; what is no JSON is left alone, and said.

merge_json() ( # FILE ADDITIONS [MODE]: the file gets the keys of this object; objects are merged, lists united
  prepare_state
  merged=$state/.merged
  (
    umask 077
    # A file that is empty, or not there, becomes the additions.
    if [ ! -e "$1" ] || ! grep -q '[^[:space:]]' "$1"; then printf '{}\n'; else cat "$1"; fi |
      with_additions "$1" "$2" >"$merged"
  ) && put "$1" "${3:-}" <"$merged" && rm -f "$merged" && exit 0
  rm -f "$merged"
  exit 1
)

# shellcheck disable=SC2094 # the name of the file is for messages
has_json() { # FILE ADDITIONS: whether merging them would change nothing
  [ -e "$1" ] && grep -q '[^[:space:]]' "$1" &&
    [ "$(with_additions "$1" "$2" <"$1" | sha256sum)" = "$(sha256sum <"$1")" ]
}

with_additions() { # FILE ADDITIONS: standard input with them; the file is named in messages
  # The x tells where the end of the last line was.
  { cat && printf x; } | FILE="$1" ADDITIONS="$2" awk "$merge_by_awk"
}

# shellcheck disable=SC2016 # awk's dollars
merge_by_awk='
BEGIN {
  short[8] = "\\b"; short[9] = "\\t"; short[10] = "\\n"; short[12] = "\\f"; short[13] = "\\r"
}

{ text = text (NR > 1 ? "\n" : "") $0 }

END {
  document = substr(text, 1, length(text) - 1)
  name = "the additions"
  addition = tree(ENVIRON["ADDITIONS"])
  name = ENVIRON["FILE"]
  root = tree(document)
  if (kind[root] != "{" || kind[addition] != "{") complain(start[root], "an object is expected")
  unit = indentation(root)
  if (unit == "none") unit = "  "
  merge(root, addition)
  for (edit = 1; edit <= edits; edit++) {
    printf "%s%s", substr(document, done + 1, from[edit] - done - 1), by[edit]
    done = till[edit] - 1
  }
  printf "%s", substr(document, done + 1)
}

# --- reading: each value is a number, with its kind ("{", "[" or "="), its text, where that is, and what it means ---

function tree(source, value) {
  text = source
  at = substr(text, 1, 3) == "\357\273\277" ? 4 : 1
  skip()
  value = read_value()
  skip()
  if (at <= length(text)) complain(at, "the end is expected")
  return value
}

function read_value(value, first) {
  value = ++values
  start[value] = at
  first = substr(text, at, 1)
  if (first == "{" || first == "[") {
    kind[value] = first
    meaning[value] = first read_members(value, first == "{" ? "}" : "]")
  } else {
    kind[value] = "="
    if (first == "\"") meaning[value] = "\"" read_string() "\""
    else if (match(substr(text, at, 5), /^(true|null|false)/)) at += RLENGTH
    else if (match(substr(text, at, 400), /^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?/)) at += RLENGTH
    else complain(at, "a value is expected")
  }
  end[value] = at
  raw[value] = substr(text, start[value], at - start[value])
  if (!(value in meaning)) meaning[value] = raw[value]
  return value
}

function read_members(value, closing, key, meant) {
  at++
  skip()
  if (substr(text, at, 1) == closing) { at++; return closing }
  for (;;) {
    count[value]++
    place[value, count[value]] = at
    if (closing == "}") {
      if (substr(text, at, 1) != "\"") complain(at, "a key in double quotes is expected")
      key = read_string()
      key_end = at
      skip()
      if (substr(text, at, 1) != ":") complain(at, "a colon is expected")
      at++
      skip()
      member[value, key] = count[value] # of several with one name the last counts, as for Docker
      keys[value, count[value]] = key
      meant = meant "\"" key "\":"
      written[value, count[value]] = substr(text, place[value, count[value]], key_end - place[value, count[value]])
    }
    child[value, count[value]] = read_value()
    meant = meant meaning[child[value, count[value]]] ","
    skip()
    if (substr(text, at, 1) == closing) { at++; return meant closing }
    if (substr(text, at, 1) != ",") complain(at, "a comma or " closing " is expected")
    at++
    skip()
  }
}

function read_string(beginning, c, code, second, back, string) { # returns it with every character written in one way only
  beginning = at++
  for (;;) {
    c = substr(text, at, 1)
    if (c == "\"") { at++; return string }
    if (c == "" || c ~ /[\001-\037]/) complain(beginning, "this string has no end on its line")
    if (c != "\\") {
      string = string c
      at++
    } else if (substr(text, at + 1, 1) == "u") {
      code = hexadecimal()
      if (code >= 55296 && code < 56320 && substr(text, at, 2) == "\\u") { # the first half of a pair
        back = at
        second = hexadecimal()
        if (second >= 56320 && second < 57344) code = 65536 + (code - 55296) * 1024 + second - 56320
        else at = back
      }
      string = string character(code)
    } else {
      c = substr(text, at, 2)
      if (c !~ /^\\["\\\/bfnrt]$/) complain(at, "this escape does not exist")
      string = string (c ~ /["\/]/ ? substr(c, 2) : c)
      at += 2
    }
  }
}

function hexadecimal(i, digit, code) { # the number of \uXXXX
  for (i = 2; i < 6; i++) {
    digit = index("0123456789abcdef", tolower(substr(text, at + i, 1)))
    if (!digit || at + i > length(text)) complain(at, "this escape does not exist")
    code = code * 16 + digit - 1
  }
  at += 6
  return code
}

function character(code) { # in UTF-8, but as an escape where it cannot stand for itself
  if (code == 92) return "\\\\"
  if (code < 32) return code in short ? short[code] : sprintf("\\u%04x", code)
  if (code < 128) return sprintf("%c", code)
  if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
  if (code >= 55296 && code < 57344) return sprintf("\\u%04x", code)
  if (code < 65536) return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
  return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, 128 + int(code / 64) % 64, \
    128 + code % 64)
}

function skip() { while (substr(text, at, 1) ~ /[ \t\r\n]/) at++ }

function complain(where, what, lines, line) {
  lines = split(substr(text, 1, where - 1) "x", line, "\n")
  printf "crossdock: %s:%d:%d: this is no valid JSON: %s\n", name, lines, length(line[lines]), what | "cat >&2"
  close("cat >&2")
  exit 2
}

# --- merging: edits of the document, in its order ---

function merge(into, addition, i, key, old, new, later, laters) {
  # The members that are there come first in the document, in its own order; those that are not go to its end.
  for (i = 1; i <= count[into]; i++) {
    key = keys[into, i]
    if (member[into, key] != i || !((addition, key) in member)) continue
    old = child[into, i]
    new = child[addition, member[addition, key]]
    if (kind[old] == "{" && kind[new] == "{") merge(old, new)
    else if (kind[old] == "[" && kind[new] == "[") unite(old, new)
    else if (meaning[old] != meaning[new]) change(start[old], end[old], shown(new, line_indentation(old), indentation(into) != "none"))
  }
  for (i = 1; i <= count[addition]; i++) {
    key = keys[addition, i]
    if (!((into, key) in member)) later[++laters] = i
  }
  append(into, addition, later, laters)
}

function unite(into, addition, i, j, later, laters) {
  for (i = 1; i <= count[addition]; i++) {
    for (j = 1; j <= count[into]; j++) if (meaning[child[into, j]] == meaning[child[addition, i]]) break
    if (j > count[into]) later[++laters] = i
  }
  append(into, addition, later, laters)
}

function append(into, addition, later, laters, i, lines, own, outer, result) {
  if (!laters) return
  own = indentation(into)
  outer = line_indentation(into)
  # An empty object is written over several lines where those around it are.
  lines = count[into] ? own != "none" : (into == root || indentation(root) != "none")
  if (own == "none") own = outer unit
  for (i = 1; i <= laters; i++)
    result = result (i > 1 || count[into] ? "," : "") (lines ? ending() own : i > 1 || count[into] ? " " : "") \
      (kind[into] == "{" ? written[addition, later[i]] ": " : "") \
      shown(child[addition, later[i]], own, lines)
  if (count[into]) change(end[child[into, count[into]]], end[child[into, count[into]]], result)
  else change(start[into], end[into], kind[into] result (lines ? ending() outer : "") (kind[into] == "{" ? "}" : "]"))
}

function change(first, last, text) {
  edits++
  from[edits] = first
  till[edits] = last
  by[edits] = text
}

function shown(value, outer, lines, i, result) { # a value of the additions
  if (kind[value] == "=" || !count[value]) return raw[value]
  for (i = 1; i <= count[value]; i++)
    result = result (i > 1 ? "," : "") (lines ? ending() outer unit : i > 1 ? " " : "") \
      (kind[value] == "{" ? written[value, i] ": " : "") shown(child[value, i], outer unit, lines)
  return kind[value] result (lines ? ending() outer : "") (kind[value] == "{" ? "}" : "]")
}

function indentation(value, gap) { # of its first member, or "none" if that follows on the same line
  if (!count[value]) return "none"
  gap = substr(document, start[value] + 1, place[value, 1] - start[value] - 1)
  if (gap !~ /\n/) return "none"
  sub(/.*\n/, "", gap)
  return gap
}

function line_indentation(value, line) { # of the line on which it begins
  line = substr(document, 1, start[value] - 1)
  sub(/.*\n/, "", line)
  match(line, /^[ \t]*/)
  return substr(line, 1, RLENGTH)
}

function ending() { return document ~ /\r\n/ ? "\r\n" : "\n" }
'
