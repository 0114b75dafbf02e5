//! What the machine must bring: a JDK, and for the first run Maven, npm and tar.
//!
//! Invariant: everything that is missing is found before anything is started, and each finding is
//! one sentence with its remedy.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

pub const OLDEST_JAVA: u32 = 17;

/// A program of the machine with the version it says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub program: PathBuf,
    pub version: String,
}

/// The `java` to run Kafka with, or the sentence that says what to do.
pub fn java() -> Result<Tool, String> {
    let home = env::var_os("JAVA_HOME").map(PathBuf::from);
    let program = home
        .map(|home| home.join("bin/java"))
        .filter(|java| java.is_file())
        .or_else(|| on_path("java"));
    let said = program.as_deref().and_then(|java| said(java, "-version"));
    judge_java(program, said.as_deref())
}

fn judge_java(program: Option<PathBuf>, said: Option<&str>) -> Result<Tool, String> {
    let remedy = format!(
        "Barograph's local Kafka needs {OLDEST_JAVA} or newer: install it, for example \
         `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME"
    );
    let (Some(program), Some(said)) = (program, said) else {
        return Err(format!("no java found, {remedy}"));
    };
    let Some((major, version)) = java_version(said) else {
        return Err(format!(
            "{} does not say its version, {remedy}",
            program.display()
        ));
    };
    if major < OLDEST_JAVA {
        return Err(format!("java {version} found, {remedy}"));
    }
    Ok(Tool { program, version })
}

/// Major version and full version from what `java -version` prints.
fn java_version(said: &str) -> Option<(u32, String)> {
    let line = said.lines().find(|line| line.contains(" version \""))?;
    let version = line.split('"').nth(1)?;
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit());
    let first: u32 = numbers.next()?.parse().ok()?;
    // Until Java 8 the first number was 1.
    let major = match first {
        1 => numbers.next()?.parse().ok()?,
        newer => newer,
    };
    Some((major, version.to_owned()))
}

/// Fetches Kafka's jars.
pub fn maven() -> Result<Tool, String> {
    tool(
        "mvn",
        "--version",
        "no Maven found, which fetches Kafka on the first run: install it, for example \
         `apt-get install maven`",
    )
}

/// Fetches the ClickHouse library.
pub fn npm() -> Result<Tool, String> {
    tool(
        "npm",
        "--version",
        "no npm found, which fetches ClickHouse on the first run: install it, for example \
         `apt-get install npm`",
    )
}

/// Unpacks the ClickHouse library.
pub fn tar() -> Result<Tool, String> {
    tool(
        "tar",
        "--version",
        "no tar found, which unpacks ClickHouse on the first run: install it, for example \
         `apt-get install tar`",
    )
}

/// ClickHouse as a library exists for one kind of machine.
pub fn platform() -> Result<(), String> {
    let fits = cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    ));
    if fits {
        return Ok(());
    }
    Err(format!(
        "this is {} on {}, and the local ClickHouse runs on x86-64 Linux with glibc only: use \
         `docker compose up` instead",
        env::consts::OS,
        env::consts::ARCH
    ))
}

fn tool(name: &str, flag: &str, missing: &str) -> Result<Tool, String> {
    let program = on_path(name).ok_or_else(|| missing.to_owned())?;
    let said = said(&program, flag).ok_or_else(|| missing.to_owned())?;
    let version = version_in(&said).unwrap_or("unknown").to_owned();
    Ok(Tool { program, version })
}

/// The first word that looks like a version.
fn version_in(said: &str) -> Option<&str> {
    said.split_whitespace()
        .find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.'))
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// What the program prints about itself, on either stream; `None` when it does not run.
fn said(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    output.status.success().then(|| {
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        said
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_vendors_words() {
        let table = [
            (
                "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment",
                Some(17),
            ),
            ("openjdk version \"11.0.2\" 2019-01-15", Some(11)),
            (
                "java version \"1.8.0_392\"\nJava(TM) SE Runtime Environment",
                Some(8),
            ),
            ("java version \"21.0.1\" 2023-10-17 LTS", Some(21)),
            ("openjdk version \"22-ea\" 2024-03-19", Some(22)),
            ("openjdk version \"25\" 2025-09-16", Some(25)),
            (
                "Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"17.0.1\" 2021-10-19",
                Some(17),
            ),
            ("No Java runtime present, requesting install.", None),
            ("openjdk version \"unknown\"", None),
        ];
        for (said, major) in table {
            assert_eq!(java_version(said).map(|(major, _)| major), major, "{said}");
        }
    }

    #[test]
    fn an_old_java_is_one_sentence_with_the_remedy() {
        let said = "openjdk version \"11.0.2\" 2019-01-15";
        assert_eq!(
            judge_java(Some("java".into()), Some(said)).unwrap_err(),
            "java 11.0.2 found, Barograph's local Kafka needs 17 or newer: install it, for example \
             `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME"
        );
    }

    #[test]
    fn no_java_is_one_sentence_with_the_remedy() {
        assert_eq!(
            judge_java(None, None).unwrap_err(),
            "no java found, Barograph's local Kafka needs 17 or newer: install it, for example \
             `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME"
        );
    }

    #[test]
    fn a_missing_tool_is_named_with_the_remedy() {
        let sentence = "no such tool: install it";
        assert_eq!(
            tool("barograph-has-no-such-tool", "--version", sentence),
            Err(sentence.to_owned())
        );
    }

    #[test]
    fn versions_are_found_among_words() {
        let table = [
            (
                "Apache Maven 3.8.7\nMaven home: /usr/share/maven",
                Some("3.8.7"),
            ),
            ("11.19.1\n", Some("11.19.1")),
            ("tar (GNU tar) 1.34", Some("1.34")),
            ("nothing", None),
        ];
        for (said, version) in table {
            assert_eq!(version_in(said), version, "{said}");
        }
    }
}
