//! One secret's source: an environment variable, a file, a command, the system's keyring.
//!
//! Must never repeat what was typed after `=` when it is no source: it may be the secret itself.

use std::path::PathBuf;
use std::process::Command;

use super::SecretString;
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Clone)]
pub enum SecretSource {
    Environment(String),
    File(PathBuf),
    /// Run by `sh -c`; its standard output, without the last line break.
    Command(String),
    Keyring {
        service: String,
        user: String,
    },
    /// Held already, by the program that embeds the host.
    Value(SecretString),
}

impl SecretSource {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let kinds = "a secret comes from env:VARIABLE, file:PATH, cmd:COMMAND or keyring:SERVICE/USER, never from the command line itself";
        match text.split_once(':') {
            Some(("env", variable)) => Ok(Self::Environment(variable.to_owned())),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some(("cmd", command)) => Ok(Self::Command(command.to_owned())),
            Some(("keyring", entry)) => {
                let (service, user) = entry.rsplit_once('/').unwrap_or((entry, name));
                Ok(Self::Keyring { service: service.to_owned(), user: user.to_owned() })
            }
            _ => Err(Error::new(ErrorKind::Usage, format!("--secret {name}=… names no source")).with_help(kinds)),
        }
    }

    pub(super) fn read(&self, name: &str) -> Result<SecretString> {
        let missing = |place: String| {
            Error::new(ErrorKind::Config, format!("the secret `{name}` is not there")).with_context("looked in", place)
        };
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::Environment(variable) => environment(variable).ok_or_else(|| {
                missing(format!("the environment variable {variable}"))
                    .with_help(format!("set it: export {variable}=…"))
            }),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| missing(format!("the file {}", path.display())).with_source(source))
                    .map_err(|error| error.with_help("give a file that holds the secret and nothing else"))?;
                Ok(trimmed(text))
            }
            Self::Command(command) => {
                #[expect(clippy::disallowed_methods, reason = "the user asked for this command with cmd:")]
                let output = Command::new("sh")
                    .args(["-c", command])
                    .stdin(std::process::Stdio::null())
                    .stderr(std::process::Stdio::inherit())
                    .output()
                    .map_err(|source| missing(first_word(command)).with_source(source))?;
                if !output.status.success() {
                    return Err(missing(format!("{}, which failed: {}", first_word(command), output.status))
                        .with_help("run it by hand: it must print the secret and end with 0"));
                }
                String::from_utf8(output.stdout)
                    .map(trimmed)
                    .map_err(|_| missing(format!("{}, whose output is not UTF-8", first_word(command))))
            }
            Self::Keyring { service, user } => {
                let place = || missing(format!("the keyring, service `{service}`, user `{user}`"));
                let entry = keyring::Entry::new(service, user).map_err(|source| place().with_source(source))?;
                entry.get_password().map(SecretString::from).map_err(|source| place().with_source(source))
            }
        }
    }

    /// The variable that is looked in when no source is given.
    pub(super) fn default_variable(name: &str) -> Option<SecretString> {
        environment(&variable_name(name))
    }
}

/// `stripe.key` → `AIRLOCK_SECRET_STRIPE_KEY`.
pub(super) fn variable_name(name: &str) -> String {
    let upper: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("AIRLOCK_SECRET_{upper}")
}

fn environment(variable: &str) -> Option<SecretString> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads secrets from variables")]
    std::env::var(variable).ok().map(SecretString::from)
}

/// A command without its arguments, which may hold a password.
fn first_word(command: &str) -> String {
    let word = command.split_whitespace().next().unwrap_or_default();
    match word.contains(['=', '$', '`', '"', '\'', '(', '@']) {
        true => "the command".to_owned(),
        false => format!("the command `{word} …`"),
    }
}

fn trimmed(mut text: String) -> SecretString {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn sources() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file\n").unwrap();
        for (text, expected) in [
            (format!("file:{}", file.path().display()), "from a file"),
            ("cmd:echo from a command".to_owned(), "from a command"),
        ] {
            let secret = SecretSource::parse("x", &text).unwrap().read("x").unwrap();
            assert_eq!(secret.expose_secret(), expected);
        }
    }

    #[test]
    fn mistakes_do_not_repeat_what_was_typed() {
        let error = SecretSource::parse("api_key", "hunter2").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        let error = SecretSource::parse("k", "env:AIRLOCK_TEST_UNSET").unwrap().read("k").unwrap_err();
        assert!(error.to_string().contains("AIRLOCK_TEST_UNSET"));
        assert!(SecretSource::parse("k", "cmd:exit 3").unwrap().read("k").unwrap_err().to_string().contains("failed"));
    }

    #[test]
    fn names_of_variables() {
        assert_eq!(variable_name("stripe.api-key"), "AIRLOCK_SECRET_STRIPE_API_KEY");
    }
}
