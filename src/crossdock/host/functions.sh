# --- What the changes use -----------------------------------------------------------------------------------------
# Each change is a line of $state/changes, so that it can be taken back: RUN STEP KIND and up to four fields, with tabs
# between them. Of a file these are its path, its backup (below $state), and the SHA-256 before and after the change;
# "-" stands for a file that is not there, "?" for what is not known yet.

tab=$(printf '\t')
newline='
'
run=$(date -u +%Y%m%dT%H%M%SZ).$$

fail() { # MESSAGE: end with it
  printf 'crossdock: %s\n' "$*" >&2
  exit 1
}

keep() ( # FILE: a command is going to change it
  file=$(real_path "$1") || exit 1
  prepare_state
  if changes_of_this_step | cut -f 4 | grep -qxF -- "$file"; then exit 0; fi
  backup=-
  if [ -e "$file" ]; then
    [ -f "$file" ] || fail "$file is not a file"
    backup=backup/$run.$step$file
    (umask 077 && mkdir -p "$state/${backup%/*}") || exit 1
    cp -p "$file" "$state/$backup" || fail "$file cannot be backed up"
  fi
  record file "$file" "$backup" "$(sum_of "$file")" '?'
)

put() ( # FILE [MODE]: standard input becomes the file, all of it or nothing; its folder is made
  file=$(real_path "$1") || exit 1
  mode=${2:-}
  prepare_state
  incoming=$state/.incoming
  (umask 077 && cat >"$incoming") || fail "what should become $file could not be read"
  # An empty file is what is left of a command before the pipe that failed.
  [ -s "$incoming" ] || fail "nothing came that could become $file"
  sum=$(sum_of "$incoming")
  if [ "$(sum_of "$file")" = "$sum" ]; then
    if [ -z "$mode" ] || [ "$(stat -c %a "$file")" = "${mode#0}" ]; then
      rm -f "$incoming"
      exit 0
    fi
  fi
  trap '' HUP INT TERM # what follows takes no time, and half of it would be bad
  make_folder "${file%/*}" && keep "$file" && set_after "$file" "$sum" || exit 1
  temporary=${file%/*}/.${file##*/}.crossdock
  if [ -e "$file" ]; then
    cp -p "$file" "$temporary" # for its owner and mode
  else
    rm -f "$temporary"
    (umask 077 && : >"$temporary")
    mode=${mode:-644}
  fi && cat "$incoming" >"$temporary" && { [ -z "$mode" ] || chmod "$mode" "$temporary"; } &&
    mv -f "$temporary" "$file" && rm -f "$incoming" && exit 0
  rm -f "$temporary"
  fail "$file cannot be written"
)

service() { # start|restart|enable NAME
  case $1 in
    start | restart | enable) ;;
    *) fail "services are started, restarted or enabled, not: $1" ;;
  esac
  if [ -d "$runtime/systemd/system" ]; then
    systemctl daemon-reload
    if [ "$1" = enable ]; then
      if systemctl is-enabled --quiet "$2" 2>/dev/null; then return 0; fi
      record enabled "$2"
    fi
    if [ "$1" = restart ]; then record restarted "$2"; fi
    systemctl "$1" "$2"
  elif command -v rc-service >/dev/null 2>&1 && [ -d "$runtime/openrc" ]; then
    if [ "$1" = enable ]; then
      if rc-update show default | grep -q "^ *$2 "; then return 0; fi
      record enabled "$2"
      rc-update add "$2" default
    else
      if [ "$1" = restart ]; then record restarted "$2"; fi
      rc-service "$2" "$1"
    fi
  else
    echo "  - nothing here starts services (neither systemd nor OpenRC is running): $1 $2 by other means"
  fi
}

note() { # binfmt NAME | group GROUP USER | packages NAME...: what else was changed, after it was changed
  case $1 in
    binfmt) record binfmt "$2" "$(sum_of "$binfmt/$2")" ;;
    group) record group "$2" "$3" ;;
    packages)
      shift
      if [ "$#" -gt 0 ]; then record packages "$*"; fi
      ;;
    *) fail "this cannot be noted: $*" ;;
  esac
}

soon() { # COMMAND...: whether it succeeds within half a minute
  tries=30
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 1
  done
}

real_path() { # FILE: where its bytes are, if it is a link
  case $1 in
    *"$tab"* | *"$newline"*) fail "the name of a file holds a tab or a line break" ;;
    /*) if [ -L "$1" ]; then readlink -f "$1"; else printf '%s\n' "$1"; fi ;;
    *) fail "the path of a file has to begin with /: $1" ;;
  esac
}

sum_of() { # FILE: its SHA-256, or - where there is none
  if [ -e "$1" ]; then sha256sum <"$1" | cut -d ' ' -f 1; else echo -; fi
}

prepare_state() {
  mkdir -p "$state" && [ -w "$state" ] || fail "$state cannot be written"
}

record() { # KIND FIELD...
  case "$*" in *"$tab"* | *"$newline"*) fail "this cannot be noted, for a tab or a line break in it: $*" ;; esac
  prepare_state
  {
    if [ -e "$state/changes" ]; then
      cat "$state/changes"
    else
      echo "# What crossdock changed on this machine, newest last. crossdock doctor --undo takes it back."
    fi &&
      printf '%s' "$run$tab$step" && printf '\t%s' "$@" && echo
  } >"$state/.changes" || fail "$state/changes cannot be written"
  mv -f "$state/.changes" "$state/changes"
}

changes_of_this_step() { # the files among them
  if [ -e "$state/changes" ]; then grep "^$run$tab$step${tab}file$tab" "$state/changes" || :; fi
}

set_after() { # FILE SUM: what this step made of it
  while IFS= read -r line; do
    case $line in
      "$run$tab$step${tab}file$tab$1$tab"*) printf '%s\t%s\n' "${line%"$tab"*}" "$2" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done <"$state/changes" >"$state/.changes" || fail "$state/changes cannot be written"
  mv -f "$state/.changes" "$state/changes"
}

seal() { # after a step: commands may have changed the files that it kept
  changes_of_this_step | cut -f 4 | while IFS= read -r file; do set_after "$file" "$(sum_of "$file")"; done
}

undo_change() ( # NUMBER: take back the change in this line of the journal. Ends with 3 if it was left, and says why.
  line=$(sed -n "${1}p" "$state/changes")
  IFS=$tab read -r its_run its_step kind first second third fourth <<END
$line
END
  case $kind in
    file)
      now=$(sum_of "$first")
      if [ "$now" = "$fourth" ]; then
        if [ "$second" = - ]; then
          rm -f "$first" || exit 1
          echo "removed $first"
        else
          temporary=${first%/*}/.${first##*/}.crossdock
          if ! { cp -p "$state/$second" "$temporary" && mv -f "$temporary" "$first"; }; then
            rm -f "$temporary"
            leave "$first cannot be written; as it was: $state/$second"
          fi
          echo "put back $first"
        fi
      elif [ "$now" = "$third" ]; then
        echo "$first is as it was already"
      else
        why="was changed since"
        if [ "$fourth" = '?' ]; then why="was being changed when crossdock was stopped"; fi
        if [ "$second" = - ]; then leave "$first $why; it was not there before"; fi
        leave "$first $why; as it was: $state/$second"
      fi
      ;;
    folder)
      if [ -d "$first" ]; then rmdir "$first" 2>/dev/null || leave "the folder $first is not empty"; fi
      echo "removed the folder $first"
      ;;
    binfmt)
      if [ ! -e "$binfmt/$first" ]; then
        echo "the entry $first of binfmt_misc is gone already"
      else
        case $second in
          - | "$(sum_of "$binfmt/$first")") ;;
          *) leave "the entry $first of binfmt_misc was changed since" ;;
        esac
        echo -1 >"$binfmt/$first" || exit 1
        echo "removed the entry $first of binfmt_misc"
      fi
      ;;
    group)
      if ! id -nG "$second" 2>/dev/null | tr ' ' '\n' | grep -qxF -- "$first"; then
        echo "$second is not in the group $first any more"
      elif command -v gpasswd >/dev/null 2>&1; then
        gpasswd -d "$second" "$first" >/dev/null || exit 1
        echo "took $second out of the group $first"
      else
        deluser "$second" "$first" >/dev/null || exit 1
        echo "took $second out of the group $first"
      fi
      ;;
    packages) remove_packages "$first" ;;
    enabled)
      if [ -d "$runtime/systemd/system" ]; then
        systemctl disable --quiet "$first" 2>/dev/null || :
      elif command -v rc-update >/dev/null 2>&1; then
        rc-update --quiet delete "$first" default 2>/dev/null || :
      fi
      echo "$first is not started at boot any more"
      ;;
    restarted)
      if grep -q "^$its_run$tab$its_step${tab}file$tab" "$state/changes"; then
        leave "$first was not restarted, because its settings were not put back"
      fi
      if [ "$(grep -c "${tab}restarted$tab$first\$" "$state/changes")" -gt 1 ]; then
        : # once is enough
      elif [ -d "$runtime/systemd/system" ]; then
        systemctl daemon-reload
        systemctl try-restart "$first" || exit 1
      elif command -v rc-service >/dev/null 2>&1 && [ -d "$runtime/openrc" ]; then
        rc-service --ifstarted "$first" restart || exit 1
      fi
      echo "$first runs with its former settings"
      ;;
    *) leave "this is not understood: $line" ;;
  esac
  sed "${1}d" "$state/changes" >"$state/.changes" && mv -f "$state/.changes" "$state/changes" || exit 1
  if [ "$kind" = file ] && [ "$second" != - ]; then rm -f "$state/$second"; fi
  if [ -d "$state/backup" ]; then find "$state/backup" -depth -type d -exec rmdir {} \; 2>/dev/null || :; fi
  if ! grep -qv '^#' "$state/changes"; then
    rm -f "$state/changes" "$state/.incoming"
    rmdir "$state" 2>/dev/null || :
  fi
)

leave() { # WHY: what cannot be taken back stays, and stays in the journal
  echo "left: $*"
  exit 3
}

remove_packages() { # "NAME NAME": only these; the package manager refuses where others need them
  present=
  for name in $1; do
    if is_installed "$name"; then present="$present $name"; fi
  done
  if [ -z "$present" ]; then
    echo "these packages are gone already: $1"
    return
  fi
  # shellcheck disable=SC2086 # names of packages have no spaces
  case $(package_manager) in
    dpkg) dpkg --remove $present ;;
    rpm) rpm -e $present ;;
    apk) apk del $present ;;
    pacman) pacman -R --noconfirm $present ;;
    *) false ;;
  esac || leave "the packages$present could not be removed"
  echo "removed the packages$present"
}

is_installed() { # NAME
  case $(package_manager) in
    dpkg) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    rpm) rpm -q "$1" >/dev/null 2>&1 ;;
    apk) apk info -e "$1" >/dev/null 2>&1 ;;
    pacman) pacman -Q "$1" >/dev/null 2>&1 ;;
    *) false ;;
  esac
}

package_manager() { # the one that keeps the list; dpkg and rpm may be there as programs alone
  if command -v apt-get >/dev/null 2>&1; then
    echo dpkg
  elif command -v rpm >/dev/null 2>&1; then
    echo rpm
  else
    for manager in apk pacman; do
      if command -v "$manager" >/dev/null 2>&1; then echo "$manager"; fi
    done
  fi
}

make_folder() { # FOLDER and those above it
  if [ -z "$1" ] || [ -d "$1" ]; then return 0; fi
  make_folder "${1%/*}" && record folder "$1" || exit 1
  (umask 022 && mkdir "$1") || fail "the folder $1 cannot be made"
}
