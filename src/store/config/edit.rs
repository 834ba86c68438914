//! Changes of targets, made in the text as it is on disk now: a person's comments and order stay, and what another
//! instance or an editor wrote meanwhile is merged key by key.

#[cfg(test)]
mod tests;

use std::path::Path;

use toml_edit::{ArrayOfTables, Decor, DocumentMut, Item, RawString, Table, Value};

use brow_model::effect::TargetEdit;
use brow_model::fault::{Fault, What};
use brow_model::target::Target;
use brow_model::ttl::Ttl;

use super::Config;
use super::values::fields;

/// A target that was taken out, as it stood in the file.
#[derive(Debug, Clone)]
pub struct Removed {
    target: Target,
    table: Table,
    index: usize,
    /// Comments above it that are not about it; they stayed, above whatever came next.
    above: String,
}

/// Makes edits in `text`, the config at `path`: the new text, and the fault of the first that could not be made. Each
/// stands for itself: one that cannot be made keeps none of the others back. A target that is taken out goes to
/// `removed`, from where it is put back as it stood.
///
/// Faults are [`What::EditConflict`] where what is to be changed is gone or was changed elsewhere to something else,
/// [`What::NameTaken`] and [`What::TtlTooLong`], each with the target's name; [`What::ConfigBroken`] for a text that
/// makes no sense.
pub fn apply_all(path: &Path, text: &str, edits: &[TargetEdit], removed: &mut Vec<Removed>) -> (String, Option<Fault>) {
    let (mut edited, mut refused) = (text.to_owned(), None);
    let mut rest = edits;
    while let [first, others @ ..] = rest {
        // Many come in at once where they are imported: the text is read and written once for all of them. Whatever
        // speaks against a new one does so before anything is changed.
        let new = rest.iter().take_while(|edit| matches!(edit, TargetEdit::Add(_) | TargetEdit::Import(_))).count();
        let mut fault = None;
        let text = if new > 1 {
            let (now, later) = rest.split_at(new);
            rest = later;
            change(path, &edited, removed, |editor| {
                for edit in now {
                    fault = fault.take().or(editor.make(edit).err());
                }
                Ok(())
            })
        } else {
            rest = others;
            change(path, &edited, removed, |editor| editor.make(first))
        };
        match text {
            Ok(text) => edited = text,
            Err(broken) => fault = Some(broken),
        }
        refused = refused.or(fault);
    }
    (edited, refused)
}

/// Changes `text` by `make`.
fn change(
    path: &Path,
    text: &str,
    removed: &mut Vec<Removed>,
    make: impl FnOnce(&mut Editor<'_>) -> Result<(), Fault>,
) -> Result<String, Fault> {
    let Config { settings, targets, .. } = super::read(path, text)?;
    // One kind of line end to work on; a file of Windows' kind gets it back.
    let crlf = text.contains("\r\n") && text.matches('\n').count() == text.matches("\r\n").count();
    let text = &text.replace("\r\n", "\n");
    let document = super::document(path, text)?.into_mut();
    let mut editor = Editor { document, targets, max_ttl: settings.max_ttl, removed };
    make(&mut editor)?;
    let mut edited = editor.document.to_string();
    if !text.starts_with('\n') {
        // The blank line that was between two targets of which the first one is gone.
        edited = edited.trim_start_matches('\n').to_owned();
    }
    if crlf {
        edited = edited.replace('\n', "\r\n");
    }
    // What we could not read ourselves is not put in anybody's file.
    super::read(path, &edited)?;
    Ok(edited)
}

fn table(target: &Target) -> Table {
    let mut table = Table::new();
    for (key, value) in fields(target) {
        if let Some(value) = value {
            table.insert(key, Item::Value(value));
        }
    }
    table
}

/// The document that an edit is applied to.
struct Editor<'a> {
    document: DocumentMut,
    targets: Vec<Target>,
    max_ttl: Ttl,
    removed: &'a mut Vec<Removed>,
}

impl Editor<'_> {
    fn make(&mut self, edit: &TargetEdit) -> Result<(), Fault> {
        match edit {
            TargetEdit::Add(target) | TargetEdit::Import(target) => self.add(target),
            TargetEdit::Replace { was, target } => self.replace(was, target),
            TargetEdit::Remove(was) => self.remove(was),
            TargetEdit::Restore(target) => self.restore(target),
        }
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.targets.iter().position(|target| target.name == name)
    }

    fn tables(&mut self) -> Result<&mut ArrayOfTables, Fault> {
        let item = self.document.entry("target").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or_else(|| Fault::new(What::EditConflict, "target", "is not a list of tables"))
    }

    fn table(&mut self, index: usize) -> Result<&mut Table, Fault> {
        let gone = || Fault::new(What::EditConflict, "target", "is gone");
        self.tables()?.get_mut(index).ok_or_else(gone)
    }

    fn check(&self, target: &Target) -> Result<(), Fault> {
        match target.ttl {
            Some(ttl) if ttl > self.max_ttl => {
                Err(Fault::new(What::TtlTooLong, &target.name, format!("{ttl} is above {}", self.max_ttl)))
            }
            _ => Ok(()),
        }
    }

    /// Checks that no other target has the name. Returns `false` if the same target is there already, as after a
    /// retried edit.
    fn room_for(&self, target: &Target) -> Result<bool, Fault> {
        match self.at(&target.name) {
            None => Ok(true),
            Some(at) if self.targets.get(at) == Some(target) => Ok(false),
            Some(_) => Err(Fault::new(What::NameTaken, &target.name, "")),
        }
    }

    fn add(&mut self, target: &Target) -> Result<(), Fault> {
        self.check(target)?;
        if !self.room_for(target)? {
            return Ok(());
        }
        let mut table = table(target);
        let end = last_position(self.document.as_table());
        let tables = self.tables()?;
        let mut above = String::new();
        if tables.iter().last().is_none_or(|last| last_position(last) == end) {
            // It comes last in the file: behind the comments there, not between them and what they are about.
            table.set_position(end.map(|end| end + 1));
            above = raw(Some(self.document.trailing()));
            self.document.set_trailing("");
        }
        let apart = if above.is_empty() && self.document.as_table().is_empty() { "" } else { "\n" };
        table.decor_mut().set_prefix(above + apart);
        self.tables()?.push(table);
        self.targets.push(target.clone());
        Ok(())
    }

    fn replace(&mut self, was: &Target, target: &Target) -> Result<(), Fault> {
        self.check(target)?;
        let name = &was.name;
        let Some(at) = self.at(name) else {
            // Tried again after it went through?
            if self.targets.contains(target) {
                return Ok(());
            }
            return Err(Fault::new(What::EditConflict, name, "it is no longer in the file"));
        };
        if *name != target.name && self.at(&target.name).is_some() {
            return Err(Fault::new(What::NameTaken, &target.name, ""));
        }
        let Some(current) = self.targets.get(at).cloned() else { return Ok(()) };
        for (key, value) in merge(was, &current, target)? {
            self.set(at, key, value)?;
        }
        Ok(())
    }

    /// Sets a key of the nth target, or takes it out.
    fn set(&mut self, at: usize, key: &'static str, value: Option<Value>) -> Result<(), Fault> {
        let table = self.table(at)?;
        match value {
            Some(mut value) => match table.get_mut(key) {
                // In place: inserting again would format the key anew, comment and all.
                Some(item) => {
                    if let Some(old) = item.as_value() {
                        *value.decor_mut() = old.decor().clone();
                    }
                    *item = Item::Value(value);
                }
                None => _ = table.insert(key, Item::Value(value)),
            },
            None => self.unset(at, key)?,
        }
        Ok(())
    }

    /// Takes a key out; a comment above it stays, above the next key or table.
    fn unset(&mut self, at: usize, key: &str) -> Result<(), Fault> {
        let table = self.table(at)?;
        let next = table.iter().map(|(name, _)| name.to_owned()).skip_while(|name| name != key).nth(1);
        let above = table.key(key).map(|key| prefix(key.leaf_decor())).unwrap_or_default();
        let position = table.position();
        table.remove(key);
        if !above.contains('#') {
            return Ok(());
        }
        let next = next.filter(|name| table.get(name).is_some_and(Item::is_value));
        match next.and_then(|name| table.get_key_value_mut(&name)) {
            Some((mut key, _)) => {
                let both = format!("{above}{}", prefix(key.leaf_decor()));
                key.leaf_decor_mut().set_prefix(both);
            }
            None => self.put_before_next(position, &above),
        }
        Ok(())
    }

    fn remove(&mut self, was: &Target) -> Result<(), Fault> {
        // Gone already is what was wanted.
        let Some(at) = self.at(&was.name) else { return Ok(()) };
        let Some(current) = self.targets.get(at).cloned() else { return Ok(()) };
        if current != *was {
            return Err(Fault::new(What::EditConflict, &was.name, "it was changed in the file meanwhile"));
        }
        let tables = self.tables()?;
        if at >= tables.len() {
            return Ok(());
        }
        let mut table = tables.remove(at);
        // A comment with a blank line between it and the target is about the file, not about the target.
        let prefix = prefix(table.decor());
        let own = prefix.rfind("\n\n").map_or(0, |blank| blank + 2);
        let (above, own) = prefix.split_at(own);
        let above = if above.contains('#') { above } else { "" };
        self.put_before_next(table.position(), above);
        table.decor_mut().set_prefix(format!("\n{}", own.trim_start_matches('\n')));
        self.removed.push(Removed { target: current, table, index: at, above: above.to_owned() });
        Ok(())
    }

    fn restore(&mut self, target: &Target) -> Result<(), Fault> {
        self.check(target)?;
        if !self.room_for(target)? {
            return Ok(());
        }
        // Where its name was taken meanwhile it comes back under another.
        let same = |removed: &Removed| Target { name: target.name.clone(), ..removed.target.clone() } == *target;
        let named = |removed: &Removed| removed.target.name == target.name;
        let last = self.removed.iter().rposition(named).or_else(|| self.removed.iter().rposition(same));
        let Some(last) = last else { return self.add(target) };
        let Removed { target: was, mut table, index, above } = self.removed.remove(last);
        let above = if self.take_back(&above) { above } else { "\n".to_owned() };
        let before = format!("{above}{}", prefix(table.decor()).trim_start_matches('\n'));
        table.decor_mut().set_prefix(before);
        // It finds its place by what stands around it: positions of then mean nothing in the text of now.
        forget_positions(&mut table);
        let tables = self.tables()?;
        let index = index.min(tables.len());
        tables.insert(index, table);
        if let Some(next) = tables.get_mut(index + 1)
            && !prefix(next.decor()).starts_with('\n')
        {
            let apart = format!("\n{}", prefix(next.decor()));
            next.decor_mut().set_prefix(apart);
        }
        for (key, value) in merge(&was, &was, target)? {
            self.set(index, key, value)?;
        }
        Ok(())
    }

    /// Puts a comment before the table that comes after that position in the file, or at the end.
    fn put_before_next(&mut self, position: Option<isize>, comment: &str) {
        if comment.is_empty() {
            return;
        }
        let mut next: Option<&mut Table> = None;
        each_table(self.document.as_table_mut(), &mut |table| {
            if table.position() > position && next.as_ref().is_none_or(|next| table.position() < next.position()) {
                next = Some(table);
            }
        });
        if let Some(table) = next {
            let both = format!("{comment}{}", prefix(table.decor()).trim_start_matches('\n'));
            table.decor_mut().set_prefix(both);
        } else {
            let both = format!("{comment}{}", raw(Some(self.document.trailing())));
            self.document.set_trailing(both);
        }
    }

    /// Takes a comment away from where [`Self::put_before_next`] put it, if it is still there.
    fn take_back(&mut self, comment: &str) -> bool {
        if comment.is_empty() {
            return false;
        }
        let mut found = false;
        each_table(self.document.as_table_mut(), &mut |table| {
            let before = prefix(table.decor());
            if let Some(rest) = before.strip_prefix(comment).filter(|_| !found) {
                table.decor_mut().set_prefix(rest);
                found = true;
            }
        });
        let trailing = raw(Some(self.document.trailing()));
        if let Some(rest) = trailing.strip_prefix(comment).filter(|_| !found) {
            self.document.set_trailing(rest);
            found = true;
        }
        found
    }
}

/// The keys to set so that what `base` was changed to in `wanted` is changed in `current` too.
fn merge(base: &Target, current: &Target, wanted: &Target) -> Result<Vec<(&'static str, Option<Value>)>, Fault> {
    let same = |a: &Option<Value>, b: &Option<Value>| {
        a.as_ref().map(ToString::to_string) == b.as_ref().map(ToString::to_string)
    };
    let mut changes = Vec::new();
    for (((key, was), (_, is)), (_, to_be)) in fields(base).into_iter().zip(fields(current)).zip(fields(wanted)) {
        if same(&was, &to_be) || same(&is, &to_be) {
            continue;
        }
        if !same(&was, &is) {
            let says = format!("`{key}` was changed in the file meanwhile");
            return Err(Fault::new(What::EditConflict, &base.name, says));
        }
        changes.push((key, to_be));
    }
    Ok(changes)
}

fn raw(text: Option<&RawString>) -> String {
    text.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

fn prefix(decor: &Decor) -> String {
    raw(decor.prefix())
}

/// Calls `visit` with every table that has a header of its own, in no particular order.
fn each_table<'t>(table: &'t mut Table, visit: &mut dyn FnMut(&'t mut Table)) {
    for (_, item) in table.iter_mut() {
        let below: Vec<&'t mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => continue,
        };
        for table in below {
            if table.is_implicit() || table.is_dotted() {
                each_table(table, visit);
            } else {
                visit(table);
            }
        }
    }
}

/// The position of the table that comes last in the file, of this one and those below it.
fn last_position(table: &Table) -> Option<isize> {
    let below = table.iter().filter_map(|(_, item)| match item {
        Item::Table(table) => last_position(table),
        Item::ArrayOfTables(tables) => tables.iter().filter_map(last_position).max(),
        Item::None | Item::Value(_) => None,
    });
    below.max().max(table.position())
}

/// Makes a table and those below it stand where they are put.
fn forget_positions(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => forget_positions(table),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(forget_positions),
            Item::None | Item::Value(_) => {}
        }
    }
}
