//! A Redis-speaking server (RESP2): enough for a client to say hello and keep a few values.

use std::collections::BTreeMap;

use tokio::io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use super::world::{Lines, Memory};

/// The longest argument and the most of them: this is for practice.
const MAX_ARGUMENT: usize = 1 << 20;
const MAX_ARGUMENTS: usize = 1_024;

pub(super) async fn serve(wire: DuplexStream, memory: &Memory) -> io::Result<()> {
    let mut wire = BufReader::new(wire);
    while let Some(command) = read(&mut wire).await? {
        let Some((name, arguments)) = command.split_first() else { continue };
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        let answer = answer(&name, arguments, &mut memory.lock());
        wire.write_all(&answer).await?;
        if name == "QUIT" {
            break;
        }
    }
    wire.shutdown().await
}

/// The next command: an array of bulk strings, or words in a line. `None`: the client has ended.
async fn read(wire: &mut Lines) -> io::Result<Option<Vec<Vec<u8>>>> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let Some(line) = line(wire).await? else { return Ok(None) };
    let Some(count) = line.strip_prefix('*') else {
        return Ok(Some(line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()));
    };
    let count = count.parse().ok().filter(|count| *count <= MAX_ARGUMENTS).ok_or_else(wrong)?;
    let mut command = Vec::new();
    for _ in 0..count {
        let head = self::line(wire).await?.ok_or_else(wrong)?;
        let length = head.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
        let length = length.filter(|length| *length <= MAX_ARGUMENT).ok_or_else(wrong)?;
        let mut argument = vec![0; length + 2];
        wire.read_exact(&mut argument).await?;
        argument.truncate(length);
        command.push(argument);
    }
    Ok(Some(command))
}

async fn line(wire: &mut Lines) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    wire.take(MAX_ARGUMENT as u64).read_until(b'\n', &mut line).await?;
    Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

fn answer(name: &str, arguments: &[Vec<u8>], memory: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let number = |count: i64| format!(":{count}\r\n").into_bytes();
    let found = |found: Option<&Vec<u8>>| found.map_or_else(|| b"$-1\r\n".to_vec(), |value| bulk(value));
    match (name, arguments) {
        ("PING", []) => b"+PONG\r\n".to_vec(),
        ("PING" | "ECHO", [word]) => bulk(word),
        ("SET", [key, value, ..]) => {
            memory.insert(key.clone(), value.clone());
            b"+OK\r\n".to_vec()
        }
        ("GET", [key]) => found(memory.get(key)),
        ("DEL", keys) => number(keys.iter().filter(|key| memory.remove(*key).is_some()).count().cast_signed() as i64),
        ("EXISTS", keys) => number(keys.iter().filter(|key| memory.contains_key(*key)).count().cast_signed() as i64),
        ("INCR", [key]) => {
            let now = memory.get(key).map_or(Some(0), |value| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
            let Some(next) = now.and_then(|now| now.checked_add(1)) else {
                return b"-ERR value is not an integer or out of range\r\n".to_vec();
            };
            memory.insert(key.clone(), next.to_string().into_bytes());
            number(next)
        }
        ("KEYS", [_]) => {
            let keys = memory.keys().flat_map(|key| bulk(key));
            format!("*{}\r\n", memory.len()).into_bytes().into_iter().chain(keys).collect()
        }
        ("DBSIZE", []) => number(memory.len().cast_signed() as i64),
        ("INFO", _) => bulk(b"# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nos:practice\r\n"),
        ("SELECT" | "CLIENT" | "AUTH" | "QUIT" | "FLUSHALL", _) => {
            if name == "FLUSHALL" {
                memory.clear();
            }
            b"+OK\r\n".to_vec()
        }
        ("COMMAND" | "CONFIG", _) => b"*0\r\n".to_vec(),
        _ => {
            let words = format!("-ERR unknown command '{}', with args beginning with: \r\n", name.escape_default());
            words.into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_keeps_and_finds_values() {
        let (mut client, server) = io::duplex(1_024);
        let memory = Memory::default();
        let task = tokio::spawn(async move { serve(server, &memory).await });
        client
            .write_all(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n41\r\n*2\r\n$4\r\nincr\r\n$1\r\na\r\n")
            .await
            .unwrap();
        client.write_all(b"GET a\r\nGET b\r\nKEYS *\r\nNONSENSE\r\nQUIT\r\n").await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        let wanted = "+PONG\r\n+OK\r\n:42\r\n$2\r\n42\r\n$-1\r\n*1\r\n$1\r\na\r\n-ERR unknown command 'NONSENSE', with args \
            beginning with: \r\n+OK\r\n";
        assert_eq!(said, wanted);
        task.await.unwrap().unwrap();
    }
}
