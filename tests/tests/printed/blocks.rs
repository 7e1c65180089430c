//! Commands as documents and programs show them.

/// The fenced blocks of a document, without those that name another language than the shell's.
pub(crate) fn of_document(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        match &mut block {
            None => {
                if let Some(language) = bare.strip_prefix("```") {
                    block = Some((["", "sh"].contains(&language), String::new()));
                }
            }
            Some(_) if bare == "```" => {
                blocks.extend(block.take().filter(|(shell, _)| *shell).map(|(_, text)| text));
            }
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    assert_eq!(block, None, "a block that does not end");
    blocks
}

/// The commands of a block, each whole: a line that goes on takes the next one along.
pub(crate) fn commands(block: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut command = String::new();
    for line in block.lines() {
        command.push_str(line);
        command.push('\n');
        let count = |sign| command.matches(sign).count();
        let goes_on = line.ends_with('\\') || line.ends_with("&&");
        if !goes_on && count('(') == count(')') && count('{') == count('}') {
            let whole = std::mem::take(&mut command).trim().to_owned();
            if !whole.is_empty() {
                commands.push(whole);
            }
        }
    }
    assert!(command.is_empty(), "a command that does not end: {command}");
    commands
}

/// The lines of a `--help` that are examples.
pub(crate) fn examples(help: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut inside = false;
    for line in help.lines() {
        if line.starts_with("Examples:") || line.starts_with("A first receipt") {
            inside = true;
        } else if inside && line.starts_with("  ") {
            examples.push(line.trim().to_owned());
        } else {
            inside = false;
        }
    }
    examples
}

/// The names of the commands that a `--help` lists.
pub(crate) fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// What a printed command does not run as, and why not; both by a part of its text.
pub(crate) struct Skipped {
    pub(crate) part: &'static str,
    pub(crate) reason: &'static str,
}

/// The commands that none of `skipped` leaves out. Every row of it must leave something out.
pub(crate) fn run_here(commands: Vec<String>, skipped: &[Skipped]) -> Vec<String> {
    for Skipped { part, reason } in skipped {
        assert!(commands.iter().any(|command| command.contains(part)), "no {part}: {reason}");
    }
    let runs = |command: &String| !skipped.iter().any(|skipped| command.contains(skipped.part));
    commands.into_iter().filter(runs).collect()
}
