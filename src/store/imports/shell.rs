//! The commands of a shell script, each with the lines it stands on: enough of the grammar (POSIX, 2.2 to 2.10) to find
//! them in lists, pipes, loops and functions, and to know the words whose value only a shell can tell.

use std::iter::Peekable;
use std::mem::take;
use std::str::Chars;

/// The verb of the commands that are looked for.
const FORWARDS: &str = "port-forward";

/// A word of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// The text without its quotes.
    pub text: String,
    /// True if a variable or the output of a command is part of it.
    pub open: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its words, without those of redirections.
    pub words: Vec<Word>,
    /// The first line it stands on, from 1.
    pub first: usize,
    /// The last line it stands on.
    pub last: usize,
    /// True if it reads the output of another command.
    pub piped: bool,
    /// True if a quote in it is never closed.
    pub broken: bool,
    /// True if a forward is mentioned in what was passed over: the output of a command, a here-document.
    pub hides: bool,
    /// The source text, in one line.
    pub text: String,
}

/// The commands of a text; comments, and empty lines, are none. A quote or a here-document that is never closed goes
/// to the end of the text.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lexer = Lexer {
        chars: text.chars().peekable(),
        line: 1,
        now: Command::default(),
        word: None,
        documents: Vec::new(),
        found: Vec::new(),
    };
    while let Some(c) = lexer.next() {
        lexer.take(c);
    }
    lexer.end(false);
    lexer.found
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    now: Command,
    word: Option<Word>,
    /// The delimiters of the here-documents that begin on the next line; true if leading tabs are stripped (`<<-`).
    documents: Vec<(String, bool)>,
    found: Vec<Command>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if self.now.text.is_empty() {
            self.now.first = self.line;
        }
        self.now.last = self.line;
        self.line += usize::from(c == '\n');
        self.now.text.push(if c == '\n' { ' ' } else { c });
        Some(c)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        self.chars.peek() == Some(&wanted) && self.next().is_some()
    }

    fn take(&mut self, c: char) {
        match c {
            '\\' => {
                if !self.next_if('\n') {
                    let next = self.next();
                    self.word().text.extend(next);
                }
            }
            '\'' | '"' => self.quoted(c),
            '$' | '`' => self.expansion(c),
            '#' if self.word.is_none() => self.skip_line(),
            '/' if self.word.is_none() && self.now.words.is_empty() && self.chars.peek() == Some(&'/') => {
                self.skip_line();
            }
            '\n' => {
                self.documents();
                self.end(false);
            }
            '>' | '<' => self.redirection(c),
            '&' if self.chars.peek() == Some(&'>') => self.end_word(),
            ';' | '&' | '|' | '(' | ')' => self.operator(c),
            c if c.is_whitespace() => {
                self.end_word();
                if self.now.words.is_empty() && !self.now.broken {
                    self.now.text.clear();
                }
            }
            c => self.word().text.push(c),
        }
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        self.now.words.extend(self.word.take());
    }

    /// Ends the command; `piped` says whether the next one reads what it writes.
    fn end(&mut self, piped: bool) {
        self.end_word();
        // A list may go on in the next line.
        let piped = piped || self.now.words.is_empty() && self.now.piped;
        let next = Command { piped, ..Command::default() };
        let mut command = std::mem::replace(&mut self.now, next);
        if !command.words.is_empty() || command.broken {
            let text = command.text.trim_end_matches([' ', ';', '&', '|', '(', ')']).trim().to_owned();
            command.text = text;
            self.found.push(command);
        }
    }

    fn operator(&mut self, c: char) {
        let is_name = self.now.words.is_empty() && self.now.first == self.line && self.word.is_some();
        if c == '(' && is_name && self.next_if(')') {
            // The head of a function: what it does follows.
            self.word = None;
            return self.now = Command::default();
        }
        let doubled = self.next_if(c);
        self.end(c == '|' && !doubled);
    }

    fn quoted(&mut self, quote: char) {
        self.word();
        loop {
            match self.next() {
                None => {
                    self.now.broken = true;
                    return;
                }
                Some(c) if c == quote => return,
                Some('\\') if quote == '"' => {
                    let next = self.next();
                    self.word().text.extend(next.filter(|c| *c != '\n'));
                }
                Some(c @ ('$' | '`')) if quote == '"' => self.expansion(c),
                Some(c) => self.word().text.push(c),
            }
        }
    }

    /// A variable, or the output of a command: what is in braces or parentheses is passed over.
    fn expansion(&mut self, c: char) {
        let closes = match (c, self.chars.peek()) {
            ('`', _) => '`',
            (_, Some('{')) => '}',
            (_, Some('(')) => ')',
            (_, Some(next)) if next.is_alphanumeric() || "_@*#?!-$'\"".contains(*next) => {
                self.word().open = true;
                return;
            }
            // A dollar sign that stands for itself, as a prompt's does.
            _ => return self.word().text.push(c),
        };
        self.word().open = true;
        let opens = self.chars.peek().copied().filter(|_| c == '$');
        let (start, mut depth) = (self.now.text.len(), 0_usize);
        while let Some(c) = self.next() {
            if Some(c) == opens {
                depth += 1;
            } else if c == closes {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    self.now.hides |= self.now.text[start..].contains(FORWARDS);
                    return;
                }
            }
        }
        self.now.broken = true;
    }

    /// Passes over where a command reads or writes: `> file`, `2>&1`, `<<END`.
    fn redirection(&mut self, c: char) {
        // `2>`: the number belongs to it.
        self.word.take_if(|word| !word.text.is_empty() && word.text.chars().all(|c| c.is_ascii_digit()));
        self.end_word();
        let document = c == '<' && self.next_if('<') && !self.next_if('<');
        let tabs = document && self.next_if('-');
        while self.next_if('>') || self.next_if('&') || self.next_if('|') {}
        while self.next_if(' ') || self.next_if('\t') {}
        // `<(command)` is a file by another name.
        if self.chars.peek() == Some(&'(') {
            return self.word().open = true;
        }
        let line = self.line;
        while let Some(&c) = self.chars.peek() {
            if c.is_whitespace() || ";&|()<>".contains(c) {
                break;
            }
            self.next();
            self.take(c);
        }
        // No file is called so: a quote was left open, and lines that say more would be lost.
        self.now.broken |= self.line > line;
        let file = self.word.take().unwrap_or_default();
        if document {
            self.documents.push((file.text, tabs));
        }
    }

    /// Passes over the here-documents of the line that has ended.
    fn documents(&mut self) {
        for (end, tabs) in take(&mut self.documents) {
            let mut hides = false;
            loop {
                let mut line = String::new();
                let mut more = false;
                while let Some(c) = self.next() {
                    more = true;
                    if c == '\n' {
                        break;
                    }
                    line.push(c);
                }
                hides |= line.contains(FORWARDS);
                let line = if tabs { line.trim_start_matches('\t') } else { &line };
                if line == end || !more {
                    self.now.broken |= line != end;
                    break;
                }
            }
            // It is read by a command that has ended before, if by any.
            if let Some(command) = self.found.last_mut().filter(|_| self.now.words.is_empty()) {
                command.last = self.now.last;
                command.hides |= hides;
            } else {
                self.now.broken |= self.now.words.is_empty();
                self.now.hides |= hides;
            }
        }
    }

    /// Passes over the rest of the line.
    fn skip_line(&mut self) {
        self.now.text.pop();
        while self.chars.peek().is_some_and(|c| *c != '\n') {
            self.chars.next();
        }
    }
}
