//! Texts with `%` and a letter in the place of what they are about.

/// Puts in what `value` knows of each letter. `%%` is a percent sign, and `\n` begins a new line, as nobody can write one in
/// a configuration file. Anything else stays as it is.
pub fn fill(template: &str, value: &dyn Fn(char) -> Option<String>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        let mut after = rest.clone();
        match (c, after.next()) {
            ('%', Some('%')) => text.push('%'),
            ('\\', Some('n')) => text.push('\n'),
            ('%', Some(letter)) => match value(letter) {
                Some(value) => text.push_str(&value),
                None => {
                    text.push('%');
                    continue;
                }
            },
            (c, _) => {
                text.push(c);
                continue;
            }
        }
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_replaced_once_and_the_rest_stays() {
        let value = |letter: char| match letter {
            'f' => Some("%v $(reboot)".to_owned()),
            'v' => Some("Eicar".to_owned()),
            _ => None,
        };
        assert_eq!(fill("%f has %v\\n%% %z %", &value), "%v $(reboot) has Eicar\n% %z %");
        assert_eq!(fill("", &value), "");
        assert_eq!(fill("Größe\\", &value), "Größe\\");
    }
}
