#!/bin/busybox sh
# Init of the guest with systemd: unpacks the distribution into memory, puts the package and the trial into it, and hands over.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mkdir -p /system
mount -t tmpfs -o size=80% none /system
tar -x -f /payload/root.tar -C /system || { echo "the distribution could not be unpacked"; poweroff -f; }
rm /payload/root.tar
cp /payload/sentinel.deb /system/root/
cp /payload/sentinel-workload /payload/service.sh /payload/parts /system/usr/local/bin/
cat > /system/etc/systemd/system/trial.service <<'UNIT'
[Unit]
Description=the trial of the package
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /usr/local/bin/service.sh
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
TimeoutStartSec=infinity
UNIT
mkdir -p /system/etc/systemd/system/default.target.wants
ln -s ../trial.service /system/etc/systemd/system/default.target.wants/trial.service
# Nobody sits at the serial line, and without udev its device never comes.
for unit in serial-getty@ttyS0 getty@tty1; do ln -s /dev/null /system/etc/systemd/system/$unit.service; done
# Nor is there anything to be done each day, whatever the clock says.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim systemd-tmpfiles-clean; do
    ln -sf /dev/null "/system/etc/systemd/system/$timer.timer"
done
echo guest > /system/etc/hostname
: > /system/etc/machine-id
umount /proc
exec switch_root /system /lib/systemd/systemd --show-status=no --log-level=warning
