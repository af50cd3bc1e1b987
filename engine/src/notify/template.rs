//! Texts with `%` and a letter in the place of what they are about.

use std::borrow::Cow;

/// Puts in what `value` knows of each letter. `%%` is a percent sign, and `\n` begins a new line, as nobody can write one in
/// a configuration file. Anything else stays as it is.
pub fn fill(template: &str, value: &dyn Fn(char) -> Option<String>) -> String {
    let value = |letter| value(letter).map(|text| Cow::Owned(text.into_bytes()));
    let filled = fill_bytes(&template.replace("\\n", "\n"), &value);
    String::from_utf8_lossy(&filled).into_owned()
}

/// The same for values that need not be text. A backslash has no meaning here.
pub fn fill_bytes<'a>(template: &str, value: &dyn Fn(char) -> Option<Cow<'a, [u8]>>) -> Vec<u8> {
    let mut parts = template.split('%');
    let mut filled = parts.next().unwrap_or_default().as_bytes().to_vec();
    // Each part is what follows a percent sign.
    while let Some(part) = parts.next() {
        let mut rest = part.chars();
        match rest.next() {
            Some(letter) => match value(letter) {
                Some(value) => {
                    filled.extend_from_slice(&value);
                    filled.extend_from_slice(rest.as_str().as_bytes());
                }
                None => {
                    filled.push(b'%');
                    filled.extend_from_slice(part.as_bytes());
                }
            },
            // Of two percent signs, the second one begins an ordinary text.
            None => {
                filled.push(b'%');
                filled.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
            }
        }
    }
    filled
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
        assert_eq!(fill("%%f %%%v %%", &value), "%f %Eicar %");
        assert_eq!(fill("", &value), "");
        assert_eq!(fill("Größe\\", &value), "Größe\\");
    }
}
