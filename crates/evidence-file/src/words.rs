//! Texts of others, made safe to show: a maker's words go to terminals and text files, where a control
//! character could rewrite what stands around them.

/// The text with every character that is not seen, or that moves others, written as `\u` and hex
/// digits.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode().filter(|it| !matches!(it, '{' | '}')));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(shown("Q4 \"audit\", São Paulo"), "Q4 \"audit\", São Paulo");
        assert_eq!(
            shown("a\u{1b}[31m\nb\u{202e}c"),
            "a\\u1b[31m\\nb\\u202ec".replace("\\n", "\\ua")
        );
    }
}
