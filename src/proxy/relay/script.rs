//! The script of the relay: the arguments and the environment of its container.
//!
//! socat accepts no more than 512 bytes of an address, so the shell commands are passed in the environment. Kubernetes
//! leaves a `$(…)` there alone unless it names a variable. Input from the network is read in pieces of a fixed length
//! by `dd`, which reads not a byte more, and is compared, hashed or checked character by character before it becomes
//! part of a command. Kubernetes makes one `$` of two.

use super::datagrams::MAX_DATAGRAM;
use super::program::{OFF, SIZE_LENGTH};
use super::{
    CONNECT_TIMEOUT, FULL, MAX_CONNECTIONS, MAX_PROCESSES, NONCE_LENGTH, NUMBER_LENGTH, POD_PROXY_PORT, PORT,
    REQUEST_LENGTH, SECRET_LENGTH, Secret, WORD_LENGTH,
};

/// The directory in memory that holds our own relay.
pub const DIRECTORY: &str = "/relay";

/// The arguments of the container, whose entrypoint is socat.
///
/// `nofork` gives the shell the connection itself.
pub fn args() -> Vec<String> {
    args_at(PORT)
}

pub(super) fn args_at(port: u16) -> Vec<String> {
    vec![format!("TCP-LISTEN:{port},{}", many()), run("RELAY")]
}

/// The command of a container that may run our own relay: its image needs a shell and something that listens. That is
/// socat, or the `nc` of busybox; one that cannot be told to listen on loopback only listens everywhere.
pub fn command() -> Vec<String> {
    command_at(PORT)
}

pub(super) fn command_at(port: u16) -> Vec<String> {
    let listen = format!(
        r#"command -v socat >/dev/null && exec socat "$@"
case $(nc --help 2>&1) in *"-s ADDR"*) set -- -s 127.0.0.1 ;; *) set -- ;; esac
exec nc -ll "$@" -p {port} -e sh -fc 'IFS=; eval $RELAY'"#
    );
    vec!["sh".to_owned(), "-c".to_owned(), listen, "sh".to_owned()]
}

/// The environment of the container, `(name, value)`: what it runs, and the secret's hash, which is all that the pod's
/// description tells of it. With `ours`, it may run our own relay and has [`DIRECTORY`] for it.
pub fn env(secret: &Secret, ours: bool) -> Vec<(&'static str, String)> {
    env_with(secret, "/dev/shm/brow", ours.then_some(DIRECTORY), MAX_PROCESSES)
}

pub(super) fn env_with(
    secret: &Secret,
    file: &str,
    directory: Option<&str>,
    processes: u32,
) -> Vec<(&'static str, String)> {
    let (talk, enter) = (talk(file, directory, processes), enter(processes));
    vec![("LC_ALL", "C".to_owned()), ("HASH", secret.hash()), ("RELAY", talk), ("LANE", enter), ("UDP", datagrams())]
}

/// `max-children` bounds what the node has to carry.
fn many() -> String {
    format!("fork,reuseaddr,bind=127.0.0.1,backlog=512,max-children={MAX_CONNECTIONS},nodelay")
}

/// The address of socat that runs what stands in a variable of the environment. Within single quotes its parser takes
/// everything as it stands. `SYSTEM` would leave a process waiting for each, and `EXEC` takes no quotes within quotes:
/// without separators (`IFS`) and names of files (`-f`) the variable is one word all the same.
fn run(variable: &str) -> String {
    format!(r#"EXEC:'sh -fc "IFS=; eval ${variable}"',nofork"#)
}

/// Says that there is no room and ends, where the container has more than that many processes: the relay and its lanes
/// share its memory. They are counted without starting another. Where there is no `/proc`, there is room.
fn room(processes: u32, says: &str) -> String {
    format!("set +f\nset -- /proc/[0-9]*\nset -f\n[ $# -le {processes} ] || {{ {says}; exit; }}")
}

/// Reads so many bytes.
fn read(count: usize) -> String {
    format!("$(dd bs=1 count={count} 2>/dev/null)")
}

/// Takes the secret, where it is not known yet; proves to the other side that it is known; does what is asked by a side
/// that knows it, too. What is asked is `SECRET WORD MARK-AND-ADDRESS` and spaces up to a fixed length.
///
/// A lane's socat tells its port in its notices (`-dd`), which go back up the stream; its end, when the stream ends,
/// leaves the connections that it forked as they are.
///
/// The secret is kept in memory, in a file of the pod's own. Of two that give it at once one is first (`set -C`): the
/// other would truncate what a third is reading.
fn talk(file: &str, directory: Option<&str>, processes: u32) -> String {
    let (wait, many, go) = (CONNECT_TIMEOUT.as_secs(), many(), go_alone());
    let start = directory.map_or_else(|| format!("echo {OFF}"), |directory| start(file, directory));
    // Once more for the shell.
    let lane = run("LANE").replace('"', r#"\""#).replace('$', r"\$");
    let udp = run("UDP").replace('"', r#"\""#).replace('$', r"\$");
    let (nonce, secret, record) = (read(NONCE_LENGTH + 1), read(SECRET_LENGTH), read(REQUEST_LENGTH));
    let room = room(processes, "echo full");
    format!(
        r#"n={nonce}
[ "${{#n}}" = {NONCE_LENGTH} ] || exit
{room}
k=
[ ! -f {file} ] || IFS= read -r k <{file}
if [ -z "$k" ]; then
echo new
k={secret}
h=$(printf %s "$k" | sha256sum)
[ "${{h%% *}}" = "$HASH" ] || exit
umask 077
(set -C; echo "$k" >{file}) 2>/dev/null
fi
p=$(printf %s "$n$k" | sha256sum)
echo "${{p%% *}}"
a={record}
case $a in "$k "*) ;; *) exit ;; esac
a=${{a#* }}
w=${{a%% *}}
a=${{a#* }}
a=${{a%% *}}
t=${{a#?}}
case $t in ""|*[!]A-Za-z0-9._:[-]*) exit ;; esac
export w t
case $a in
"?"*) exec socat -dd -lu -u OPEN:/dev/null "TCP:$t,connect-timeout={wait}" 2>&1 ;;
"+"*) socat -dd TCP-LISTEN:0,{many} "{lane}" 2>&1 </dev/null & read -r a; kill $! ;;
"="*) {go} ;;
"~"*) exec 3<&0 4>&1; exec socat "UDP:$t" "{udp}" 2>&4 ;;
"!"*|"^"*) {start} ;;
esac"#
    )
}

/// Carries datagrams: the shell has a connected UDP socket as 0 and 1, and the stream as 3 and 4. Up, `dd` writes the
/// bytes of each at once. Down, socat's dump keeps their boundaries; it reads 1, since 0 of a process in the background
/// is `/dev/null`, and takes an empty one for an end that does not count.
fn datagrams() -> String {
    format!(
        r#"socat -x -u -b{MAX_DATAGRAM} FD:1,ignoreeof OPEN:/dev/null 2>&4 &
while IFS= read -r n <&3; do
case $n in ""|*[!0-9]*) break ;; esac
dd bs="$n" count=1 iflag=fullblock <&3 2>/dev/null
done
kill $!"#
    )
}

/// Becomes our own relay, which speaks to the other side from then on, or tells it on which port it listens. It is sent
/// here first if it is not kept yet: `t` holds the sha256 of the program for each architecture, by which it is kept and
/// checked. It is told where the secret is, not the secret, since others may read arguments. Until it is whole it is
/// kept by the stream's random text.
fn start(file: &str, directory: &str) -> String {
    let size = read(SIZE_LENGTH);
    format!(
        r#"m=$(uname -m)
case $m in
x86_64) h=${{t%%:*}} ;;
aarch64) h=${{t##*:}} ;;
*) echo "none for $m"; exit ;;
esac
f={directory}/$h
if [ ! -x "$f" ]; then
echo "load $m"
s={size}
case $s$n in *[!0-9a-f]*) exit ;; esac
n=$f.$n
{{ head -c "$s" || dd bs=1 count="$s"; }} >"$n" 2>/dev/null
x=$(sha256sum <"$n")
[ "${{x%% *}}" = "$h" ] && chmod 700 "$n" && mv -f "$n" "$f" || {{ rm -f "$n"; echo "not kept"; exit; }}
fi
case $a in "^"*) exec "$f" {file} {POD_PROXY_PORT} ;; esac
echo run
exec "$f" {file}"#
    )
}

/// Passes a connection to a lane on, if it begins with the lane's word and a number. What socat warns of goes the way
/// of the lane's notices, named by that number: so a reset by the target is told before socat takes it for an end.
fn enter(processes: u32) -> String {
    let room = room(processes, &format!(r#"echo "relay $i[$$] E {FULL}" >&2"#));
    let (entry, go) = (read(WORD_LENGTH + NUMBER_LENGTH), go(r#"-d "-lp$i""#, "shut-down"));
    format!(
        r#"a={entry}
i=${{a#"$w"}}
case $i in "$a"|""|*[!0-9a-f]*) exit ;; esac
{room}
exec {go}"#
    )
}

/// Passes a stream on that has no lane to tell of its end. Only an end of the target's in order becomes one of the
/// stream; at a reset the stream is reset, too. That takes a process to watch socat, and another for the end: a lane
/// needs neither.
fn go_alone() -> String {
    let go = go("-dd", "shut-none");
    format!(
        r#"exec 3>&1 2>/dev/null
{go} 2>&1 >&3 3>&- | while read -r a; do
case $a in
*"] E "*|*"] W read("*|*"] W write("*)
socat -u OPEN:/dev/null FD:3,linger=0
a=${{a#*[}}
kill -9 "${{a%%]*}}"
exit ;;
*" N socket 2 (fd "*) exec socat -u OPEN:/dev/null FD:3,shut-down ;;
esac
done"#
    )
}

/// Passes bytes on. Without `-t` socat would end half a second after either side's FIN and cut slow answers off;
/// `shut-down` passes the target's FIN on, which a plain write end never would. With socat's own
/// buffer of 8 KiB a transfer is half as fast.
fn go(options: &str, end: &str) -> String {
    let wait = CONNECT_TIMEOUT.as_secs();
    format!(r#"socat {options} -b131072 -t86400 STDIO,{end} "TCP:$t,connect-timeout={wait},keepalive,nodelay""#)
}
