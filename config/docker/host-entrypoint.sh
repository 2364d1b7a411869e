#!/bin/sh
# Starts the SSH server of a host container: makes its key once, tells the coordinator the public half, lets one key in.
set -eu
: "${SSH_PUBLIC_KEY:?the public key of the coordinator}"
keys=/etc/ssh/keys
mkdir -p "$keys" /run/sshd
[ -f "$keys/ssh_host_ed25519_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$keys/ssh_host_ed25519_key"
printf '%s\n' "$SSH_PUBLIC_KEY" > "$keys/authorized_keys"
chmod 644 "$keys/authorized_keys"
# Name and key as known_hosts wants them; written beside and renamed, so that no half line is ever read.
printf '%s %s\n' "$(hostname)" "$(cut -d' ' -f1,2 "$keys/ssh_host_ed25519_key.pub")" > "/known_hosts/.$(hostname)"
mv "/known_hosts/.$(hostname)" "/known_hosts/$(hostname)"
chown ringrift:ringrift /var/lib/ringrift
exec /usr/sbin/sshd -D -e
