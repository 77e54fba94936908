# Installs a package ($1) in a copy of this system, uses it, removes it and purges it; $2 is an empty folder. To be run in a
# mount namespace of its own: the copy is an overlay over the root, and all that is written goes to a file system in memory.
set -eu
system=$2
mount --make-rprivate /
mount -t tmpfs none "$system"
mkdir "$system/upper" "$system/work" "$system/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$system/upper,workdir=$system/work" "$system/root"
cp "$1" "$system/root/tmp/sentinel.deb"
mount -t proc proc "$system/root/proc"
export DEBIAN_FRONTEND=noninteractive

# What an agent that ran here before left, or somebody's own user for it, is not what the package is judged by.
chroot "$system/root" sh -c '
    dpkg --purge sentinel 2>/dev/null || true
    rm -rf /etc/sentinel /var/lib/sentinel /run/sentinel
    if getent passwd sentinel >/dev/null; then userdel --force sentinel; fi
    if getent group sentinel >/dev/null; then groupdel sentinel; fi
'
cp -a "$system/root/etc" "$system/before"

chroot "$system/root" sh -c 'find /etc /usr /var /run /opt -iname "*sentinel*" | sort > /tmp/named'
chroot "$system/root" dpkg --install /tmp/sentinel.deb
chroot "$system/root" sh -euc '
    fail() { echo "$*" >&2; exit 1; }
    named() { find /etc /usr /var /run /opt -iname "*sentinel*" | sort; }

    # It is there, and says what it should.
    test "$(dpkg-query -W -f "\${Status}" sentinel)" = "install ok installed"
    dpkg --verify sentinel
    sentinel --version
    sentinel config check --config /etc/sentinel/sentinel.toml
    getent passwd sentinel
    test -s /usr/share/man/man1/sentinel.1.gz
    test "$(stat -c %u:%g:%a /usr/bin/sentinel)" = 0:0:755
    test "$(stat -c %u:%g:%a /etc/sentinel/sentinel.toml)" = 0:0:644

    # Every file of the package goes with it, whatever it is called.
    dpkg --listfiles sentinel > /tmp/files

    # What somebody wrote into the configuration outlives a removal.
    mkdir -p /var/lib/sentinel /run/sentinel
    touch /var/lib/sentinel/leases.jsonl
    echo "# mine" >> /etc/sentinel/sentinel.toml
    dpkg --remove sentinel
    grep -q "^# mine" /etc/sentinel/sentinel.toml || fail "the configuration was lost by a removal"
    test ! -e /usr/bin/sentinel || fail "the program was not removed"

    # A purge leaves nothing.
    dpkg --purge sentinel
    while read -r file; do
        if [ -e "$file" ] && [ ! -d "$file" ]; then fail "left behind: $file"; fi
    done < /tmp/files
    named | diff /tmp/named - || fail "left behind, see above"
    for gone in /etc/sentinel /var/lib/sentinel /run/sentinel /usr/share/doc/sentinel; do
        test ! -e "$gone" || fail "left behind: $gone"
    done
    if getent passwd sentinel || getent group sentinel; then fail "the user was left behind"; fi
'
# Copies that tools keep of the lists of users end with a hyphen.
diff -r --no-dereference --exclude='*-' "$system/before" "$system/root/etc"
echo "purged without a trace"
