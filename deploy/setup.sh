#!/bin/sh
# What MinT needs of this machine, made so from Debian's packages where the user may.
#
#   sh deploy/setup.sh python        Python 3.11 or newer that can make virtual environments
#   sh deploy/setup.sh which-python  prints that Python's name and nothing else
#   sh deploy/setup.sh system        Mosquitto, Docker, a C compiler; a Docker daemon that answers
#   sh deploy/setup.sh test          the same, and what checks deploy/: systemd-analyze, docker-compose
#   sh deploy/setup.sh docker        a Docker daemon that answers, where Docker is installed or may be
#   sh deploy/setup.sh as-root CMD   CMD as root where that needs no password, else as it is
#
# Run it as often as you like: it changes only what is missing, and looks for well under a second when nothing
# is. Exit code 3: something is missing without which MinT does not run, and the message says what.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
tools=$root/.tools
PATH=$PATH:/usr/sbin:/sbin # Debian leaves these out for everyone but root
tries=3                    # a mirror that failed three times in a row is down, not slow
docker_wait=30             # seconds; a Raspberry Pi 3 takes some ten to start the daemon
dockerd_log=/var/log/mint-dockerd.log

say() { printf 'setup: %s\n' "$*"; }
lack() { printf 'setup: LACKS %s\n' "$*" >&2; }
die() {
    lack "$@"
    exit 3
}
have() { command -v "$1" >/dev/null 2>&1; }

# How this user becomes root: as it is (empty), `sudo -n`, or not at all.
may=no
sudo=
if [ "$(id -u)" -eq 0 ]; then
    may=yes
elif have sudo && sudo -n true 2>/dev/null; then
    may=yes
    sudo='sudo -n'
fi

# --- Debian's packages --------------------------------------------------------------------------------

refresh() {
    say "fetching Debian's package lists"
    $sudo apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30 update >>"$tools/apt.log" 2>&1
}

known() {
    for package in "$@"; do
        apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]' || return 1
    done
}

# install PACKAGE...: true when they are installed; false, with apt's last words said, when they are not.
install() {
    if ! have apt-get; then
        lack "apt-get: this is no Debian; install the counterpart of $* with your own package manager"
        return 1
    fi
    mkdir -p "$tools"
    : >"$tools/apt.log"
    known "$@" || refresh || true
    try=1
    while [ $try -le $tries ]; do
        if [ $try -gt 1 ]; then
            sleep 3
            refresh || true # a package list from before may do
        fi
        say "installing $* from Debian's packages, which may take minutes (try $try of $tries)"
        # DPkg::Lock: another apt (unattended upgrades on a fresh machine) may hold the lock for a while.
        if $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
            -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30 install "$@" >>"$tools/apt.log" 2>&1 </dev/null; then
            return 0
        fi
        try=$((try + 1))
    done
    lack "$*: apt-get failed $tries times; its last words (all of them: .tools/apt.log):"
    tail -n 4 "$tools/apt.log" | sed 's/^/setup:   /' >&2
    return 1
}

# --- Python -------------------------------------------------------------------------------------------

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
# Debian splits venv's second half, ensurepip, into python3-venv: `import venv` alone proves nothing.
makes_venvs() { "$1" -I -c 'import venv, ensurepip' 2>/dev/null; }

which_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if have "$python" && new_enough "$python"; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

setup_python() {
    python=$(which_python) || python=
    if [ -z "$python" ] && ! have python3 && [ $may = yes ]; then
        install python3 python3-venv || die "Python 3.11 or newer; without it nothing of MinT runs"
        python=$(which_python) || python=
    fi
    if [ -z "$python" ] && ! have python3; then
        die "Python: ask root to run 'apt-get install python3 python3-venv', then try again"
    fi
    if [ -z "$python" ]; then
        found=$(python3 --version 2>/dev/null) || found='an older one'
        die "Python 3.11 or newer ($found is here): use Debian 12, Raspberry Pi OS 12, or anything newer"
    fi
    makes_venvs "$python" && return 0
    [ $may = yes ] || die "python3-venv: ask root to run 'apt-get install python3-venv', then try again"
    case $python in
    python3) package=python3-venv ;;
    *) package=$python-venv ;;
    esac
    install "$package" || die "$package; without it no virtual environment can be made"
    makes_venvs "$python" || die "ensurepip in $python although $package is installed; is it Debian's own Python?"
}

# --- Mosquitto ----------------------------------------------------------------------------------------

mosquitto_here() { have mosquitto || [ -x "$tools/mosquitto/mosquitto" ]; }

# Without root: the package and whatever of its libraries is missing, unpacked into a folder of our own.
unpack_mosquitto() {
    have apt-get && have dpkg-deb || return 1
    say "unpacking Debian's Mosquitto into .tools/mosquitto, for it cannot be installed here"
    here=$tools/mosquitto
    rm -rf "$here"
    mkdir -p "$here/debs" "$here/lists/partial" "$here/cache/archives/partial"
    : >"$tools/apt.log"
    own=
    if ! known mosquitto; then # root has never fetched the package lists: fetch some of our own
        own="-o Dir::State::lists=$here/lists -o Dir::Cache=$here/cache"
        say "fetching Debian's package lists into .tools"
        # shellcheck disable=SC2086 # two options, split on purpose
        apt-get -q $own -o Acquire::http::Timeout=30 update >>"$tools/apt.log" 2>&1 || true
    fi
    # A simulated install needs no root and names exactly what is missing.
    # shellcheck disable=SC2086
    packages=$(apt-get -q $own --simulate --no-install-recommends install mosquitto 2>>"$tools/apt.log" |
        sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    [ -n "$packages" ] || return 1
    try=1
    # shellcheck disable=SC2086
    until (cd "$here/debs" && apt-get -q $own -o Acquire::http::Timeout=30 download $packages >>"$tools/apt.log" 2>&1); do
        [ $try -lt $tries ] || return 1
        try=$((try + 1))
        sleep 3
    done
    for deb in "$here"/debs/*.deb; do
        dpkg-deb -x "$deb" "$here" || return 1
    done
    rm -rf "$here/debs" "$here/lists" "$here/cache"
    cat >"$here/mosquitto" <<'WRAPPER'
#!/bin/sh
# Debian's Mosquitto, unpacked here without root (deploy/setup.sh), with its libraries beside it.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for folder in "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "$here/usr/sbin/mosquitto" "$@"
WRAPPER
    chmod 755 "$here/mosquitto"
    # -h prints the version and exits with 3; a missing library would exit with 127.
    "$here/mosquitto" -h 2>>"$tools/apt.log" | grep -q '^mosquitto version' || {
        rm -rf "$here"
        return 1
    }
}

setup_mosquitto() {
    mosquitto_here && return 0
    if [ $may = yes ]; then
        install mosquitto || unpack_mosquitto || die "Mosquitto, MinT's broker"
        have mosquitto || return 0
        # The package starts a broker on port 1883 that nobody asked for; MinT starts private ones on other
        # ports. Only because it came with this very install is it switched off here.
        if [ -d /run/systemd/system ]; then
            $sudo systemctl disable --now mosquitto.service >/dev/null 2>&1 || true
        elif [ -x /etc/init.d/mosquitto ]; then
            $sudo /etc/init.d/mosquitto stop >/dev/null 2>&1 || true
        fi
        say "Debian's own mosquitto service is off; MinT starts a private broker (on again: systemctl enable --now mosquitto)"
    else
        unpack_mosquitto || die "Mosquitto, MinT's broker: ask root to run 'apt-get install mosquitto' (log: .tools/apt.log)"
    fi
}

# --- Docker and the compiler --------------------------------------------------------------------------

no_docker='miners run as processes in cgroups of their own where you may write one, else held by a duty cycle'

# answers, denied (it runs, but not for this user) or silent
docker_state() {
    case ${DOCKER_HOST:-unix:///var/run/docker.sock} in
    unix://*) ;;
    *)
        echo answers # a daemon elsewhere is its owner's to start
        return 0
        ;;
    esac
    "$(which_python)" -I -S - "${DOCKER_HOST:-unix:///var/run/docker.sock}" <<'PYTHON'
import socket, sys
try:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(sys.argv[1].removeprefix("unix://"))
        s.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
        print("answers" if b" 200 " in s.recv(64) else "silent")
except PermissionError:
    print("denied")
except OSError:
    print("silent")
PYTHON
}

wait_for_docker() {
    waited=0
    while [ $waited -lt $docker_wait ]; do
        [ "$(docker_state)" = silent ] || return 0
        [ "$1" = service ] || kill -0 "$1" 2>/dev/null || return 1
        sleep 1
        waited=$((waited + 1))
    done
    return 1
}

start_docker() {
    if [ $may = no ]; then
        lack "a running Docker daemon, and you may not start it ('systemctl start docker' as root); without it $no_docker"
        return 0
    fi
    if [ -d /run/systemd/system ]; then
        say "starting docker.service"
        if $sudo systemctl start docker.service >/dev/null 2>&1 && wait_for_docker service; then
            return 0
        fi
        lack "a Docker daemon that starts (see 'journalctl -u docker'); without it $no_docker"
    else
        say "starting dockerd by hand, for no systemd runs here (log: $dockerd_log)"
        # warn: the log grows with trouble only. It is begun anew at every start.
        # shellcheck disable=SC2016
        pid=$($sudo sh -c 'setsid nohup dockerd --log-level warn >"$1" 2>&1 </dev/null & echo $!' sh "$dockerd_log")
        [ -z "$sudo" ] || pid=service # another user's process cannot be asked whether it lives
        wait_for_docker "$pid" && return 0
        lack "a Docker daemon that starts; without it $no_docker. Its last words:"
        $sudo tail -n 3 "$dockerd_log" | sed 's/^/setup:   /' >&2
    fi
}

setup_docker() {
    state=$(docker_state)
    [ "$state" != answers ] || return 0
    if [ "$state" = denied ]; then
        [ $may = yes ] || lack "the right to use Docker, which runs here (be root, or have sudo without a password; the group docker is not enough, for quotas are root's to set); without it $no_docker"
        return 0
    fi
    if ! have dockerd; then
        if [ $may = no ]; then
            lack "Docker, and you may not install it ('apt-get install docker.io' as root); without it $no_docker"
            return 0
        fi
        install docker.io || {
            lack "Docker; without it $no_docker"
            return 0
        }
        # The package starts the service where systemd or init does; give it the time that this takes.
        [ "$(docker_state)" = silent ] || return 0
    fi
    start_docker
}

setup_compiler() {
    have gcc && [ -e /usr/include/stdio.h ] && return 0
    without='the miner runs in Python and SSA in numpy, some ten times slower'
    if [ $may = yes ]; then
        install gcc libc6-dev || lack "a C compiler; without it $without"
    else
        lack "a C compiler, and you may not install one ('apt-get install gcc libc6-dev' as root); without it $without"
    fi
}

setup_system() {
    setup_python
    setup_mosquitto
    setup_compiler
    setup_docker
}

# --- running as root ----------------------------------------------------------------------------------

as_root() {
    if [ "$may" = no ]; then
        say "running as $(id -un): CPU quotas are root's to set, so where you may write no cgroup miners are held by a duty cycle"
        exec "$@"
    fi
    [ -n "$sudo" ] || exec "$@"
    say "running through sudo, for CPU quotas are root's to set (as yourself: $*)"
    # sudo passes Ctrl-C on; this shell stays to give back what root has written.
    trap : INT TERM
    status=0
    # No bytecode: root's files would lie in the user's folders.
    $sudo env PATH="$PATH" CI="${CI:-}" TERM="${TERM:-dumb}" PYTHONDONTWRITEBYTECODE=1 "$@" || status=$?
    for folder in .mint .hypothesis .pytest_cache; do
        [ ! -e "$root/$folder" ] || $sudo chown -R "$(id -u):$(id -g)" "$root/$folder"
    done
    exit $status
}

case ${1:-} in
python) setup_python ;;
which-python) which_python || die 'Python 3.11 or newer' ;;
system) setup_system ;;
test)
    setup_system
    [ $may = yes ] || exit 0 # what follows only checks deploy/; those tests say that they are skipped
    have systemd-analyze || install systemd || lack 'systemd-analyze; the unit files stay unchecked'
    have docker-compose || docker compose version >/dev/null 2>&1 || install docker-compose ||
        lack 'docker-compose; the compose file stays unchecked'
    ;;
docker) setup_docker ;;
as-root)
    shift
    [ $# -gt 0 ] || die 'a command to run as root'
    as_root "$@"
    ;;
*)
    sed -n '2,/^set -eu/p' "$0" | sed -n 's/^# \{0,1\}//p'
    exit 2
    ;;
esac
