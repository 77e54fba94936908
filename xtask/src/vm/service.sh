# What happens in the guest with systemd: the package is installed, the service runs, sees, acts, survives and is purged.
# Each part is a function; it holds if no command in it fails. What it prints goes to the serial line.
echo "SENTINEL-VM ready $(uname -r)"
export PAGER=cat SYSTEMD_PAGER=

part() {
    echo "SENTINEL-VM begin $1"
    (set -eu; "$1") 2>&1
    code=$?
    echo
    echo "SENTINEL-VM end $1 $code"
    if [ $code != 0 ]; then journalctl --no-pager -n 25 -o cat | cut -c1-300; systemctl --no-pager status sentinel | head -30; fi
}

# Until a command holds, for so many seconds at the most.
within() {
    left=$1; shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ $left = 0 ]; then echo "never held: $*"; return 1; fi
        sleep 1
    done
}

pid() { systemctl show --property MainPID --value sentinel; }
of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
is() { [ "$2" = "$3" ] || { echo "$1 is $2, not $3"; return 1; }; }
said() { journalctl --no-pager -o json SENTINEL_SIGNAL="$2" SENTINEL_LEVEL="$3" | grep -q "$1"; }
active_again() { [ "$(pid)" != "$1" ] && [ "$(pid)" != 0 ] && systemctl is-active --quiet sentinel; }
lease() { sentinel veto list --json | grep -q '"leases":\[{'; }
refuses() { sentinel veto list --json | grep -q '"refused":[1-9]'; }
nothing_holds() { sentinel veto list --json | grep -q '"leases":\[\]'; }

# A number of the agent's own state.
own() { sentinel status --json | tr -d ' \n' | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }
ticked() { [ "$(own ticks)" -ge "$1" ]; }
# Scopes in trouble, but for this script, which is much work for an emulator, and what it is a part of.
in_trouble() { sentinel status | sed -n 's/^  veto  *\([^ ]*\) .*/\1/p' | grep -v -x -e trial.service -e host -e / || true; }

# It is the same process, ticks as often as seconds pass by a clock that nobody sets, and alarms nobody.
goes_on() {
    from=$(own ticks)
    began=$(cut -d. -f1 /proc/uptime)
    within 20 ticked $((from + 5))
    took=$(($(cut -d. -f1 /proc/uptime) - began))
    [ $took -le 10 ] || { echo "5 ticks took $took s"; return 1; }
    is process "$(pid)" "$1"
    is "what is in trouble" "$(in_trouble)" ""
}

# An agent that has given up everything, in every thread.
powerless() {
    for status in /proc/"$1"/task/*/status; do
        is "CapEff of $status" "$(sed -n 's/^CapEff:[[:space:]]*//p' "$status")" 0000000000000000
    done
    is NoNewPrivs "$(of "$1" NoNewPrivs)" 1
    is Seccomp "$(of "$1" Seccomp)" 2
    is user "$(ps -o user= -p "$1" | tr -d ' ')" sentinel
}

installs_and_starts() {
    dpkg --install /root/sentinel.deb
    systemctl is-enabled sentinel
    within 30 systemctl is-active sentinel
    is NotifyAccess "$(systemctl show --property NotifyAccess --value sentinel)" main
}

gives_up_its_rights() {
    powerless "$(pid)"
    sentinel check --self
    systemd-analyze security --no-pager --threshold=20 sentinel | tail -1
}

goes_on_when_the_clock_is_set() {
    before=$(pid)
    for step in "1 day" "-2 days" "1 day"; do
        date -s "$step"
        goes_on "$before"
    done
}

goes_on_while_a_cpu_is_away_and_after_it_came_back() {
    before=$(pid)
    for online in 0 1; do
        echo $online > /sys/devices/system/cpu/cpu1/online
        goes_on "$before"
    done
}

# The clock of the hardware wakes the machine after some seconds.
goes_on_after_a_suspend() {
    before=$(pid)
    asleep=$(date +%s)
    echo 0 > /sys/class/rtc/rtc0/wakealarm
    echo +8 > /sys/class/rtc/rtc0/wakealarm
    echo mem > /sys/power/state
    asleep=$(($(date +%s) - asleep))
    echo "asleep for $asleep s"
    [ $asleep -ge 4 ]
    goes_on "$before"
}

sees_a_service_that_thrashes() {
    systemd-run --quiet --unit busy.service /usr/local/bin/sentinel-workload spin --threads 6 --seconds 120
    within 60 said busy.service jitter veto
    systemctl stop busy.service
}

takes_over_a_good_configuration_and_no_bad_one() {
    before=$(pid)
    sed -i 's/^false_alarms_per_week = .*/false_alarms_per_week = 2.0/' /etc/sentinel/sentinel.toml
    systemctl reload sentinel
    within 10 sh -c 'journalctl --no-pager -u sentinel -o cat | grep -q "false_alarms_per_week"'
    cp /etc/sentinel/sentinel.toml /root/good.toml
    echo 'no such key = 1' >> /etc/sentinel/sentinel.toml
    systemctl reload sentinel || true
    within 10 sh -c 'journalctl --no-pager -u sentinel -o cat | grep -q "was not taken over"'
    cp /root/good.toml /etc/sentinel/sentinel.toml
    is "process" "$(pid)" "$before"
}

acts_without_rights_of_its_own() {
    mkdir -p /etc/systemd/system/sentinel.service.d
    cat > /etc/systemd/system/sentinel.service.d/act.conf <<'UNIT'
[Service]
User=root
Group=root
AmbientCapabilities=
CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_NET_ADMIN CAP_DAC_OVERRIDE CAP_SYS_RESOURCE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_KILL CAP_SETPCAP
NoNewPrivileges=no
ProtectControlGroups=no
SystemCallFilter=@setuid @chown
UNIT
    sed -i 's/^autonomy = .*/autonomy = "approve"/' /etc/sentinel/sentinel.toml
    systemctl daemon-reload
    systemctl restart sentinel
    powerless "$(pid)"
    sentinel check --self
    systemd-run --quiet --unit caller.service /usr/local/bin/sentinel-workload attempts --to 127.0.0.1:9 --per-s 200 --seconds 120
    within 60 said caller.service amplification veto
    sentinel veto apply /system.slice/caller.service retry-budget --for 60s
    within 20 refuses
}

is_started_again_when_killed_and_leaves_no_lease() {
    before=$(pid)
    [ "$before" != 0 ]
    kill -9 "$before"
    within 30 active_again "$before"
    within 10 nothing_holds
    systemctl stop caller.service
}

killed_for_memory() { journalctl --no-pager -o cat -u sentinel | grep -q "oom-kill"; }

# As often as it takes: that it is killed again and again must not end with a service that nobody starts any more.
is_started_again_when_its_memory_runs_out() {
    before=$(pid)
    [ "$before" != 0 ]
    systemctl set-property --runtime sentinel MemoryMin=0 MemoryMax=4M
    within 60 killed_for_memory
    sleep 20
    systemctl set-property --runtime sentinel MemoryMax=infinity
    within 60 active_again "$before"
    within 10 nothing_holds
}

is_killed_by_the_watchdog_when_it_hangs() {
    before=$(pid)
    [ "$before" != 0 ]
    kill -STOP "$before"
    within 90 active_again "$before"
}

stops_and_leaves_no_process() {
    systemctl stop sentinel
    is processes "$(ps -e -o comm= | grep -c '^sentinel' || true)" 0
}

is_purged_without_a_trace() {
    rm -r /etc/systemd/system/sentinel.service.d
    dpkg --purge sentinel
    left=$(find / -xdev -path /proc -prune -o -path /sys -prune -o -path /root -prune -o -path /usr/local -prune -o \
        -path /var/log/journal -prune -o -path /var/lib/dpkg -prune -o -iname '*sentinel*' -print)
    is "what is left" "$left" ""
    if getent passwd sentinel; then return 1; fi
    systemctl --no-pager list-units --all | grep -i sentinel && return 1
    return 0
}

part installs_and_starts
part gives_up_its_rights
if [ "$(cat /usr/local/bin/parts)" = suspend ]; then
    part goes_on_after_a_suspend
    part stops_and_leaves_no_process
    echo "SENTINEL-VM done"
    # A machine that was suspended is not always switched off, and the emulator ends at a reboot too.
    reboot -f
fi
part goes_on_when_the_clock_is_set
part goes_on_while_a_cpu_is_away_and_after_it_came_back
part sees_a_service_that_thrashes
part takes_over_a_good_configuration_and_no_bad_one
part acts_without_rights_of_its_own
part is_started_again_when_killed_and_leaves_no_lease
part is_started_again_when_its_memory_runs_out
part is_killed_by_the_watchdog_when_it_hangs
part stops_and_leaves_no_process
part is_purged_without_a_trace
echo "SENTINEL-VM done"
sync
poweroff -f
