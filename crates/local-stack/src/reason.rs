//! Why a part did not start, read from its log.
//!
//! Invariant: what a person gets to read is a sentence that says what to do, or the log's own lines
//! without the frames of stack traces; never a trace.

/// What stands in a log, in small letters, and what it means.
const TABLE: &[(&[&str], &str)] = &[
    (
        &["no space left on device", "disk quota exceeded"],
        "the disk is full: make room, or choose another directory with --data-dir",
    ),
    (
        &["read-only file system"],
        "its directory lies on a file system that is read-only: choose another one with --data-dir",
    ),
    (
        &[
            "accessdeniedexception",
            "permission denied",
            "operation not permitted",
        ],
        "it may not write to its directory: give it to the user who runs this, or choose another one \
         with --data-dir",
    ),
    (
        &["address already in use", "bindexception"],
        "one of its ports was taken by another program in the meantime: choose other ports, or \
         --free-ports",
    ),
    (
        &[
            "unsupportedclassversionerror",
            "has been compiled by a more recent version",
        ],
        "the Java runtime is too old: install Java 17 or newer, or name one with JAVA_HOME",
    ),
    (
        &[
            "inconsistentclusteridexception",
            "invalid cluster.id",
            "doesn't match stored clusterid",
        ],
        "its data directory belongs to another cluster: choose another one with --data-dir, or forget \
         what is stored there with --fresh",
    ),
    (
        &[
            "doesn't match stored node",
            "stored node id",
            "configured node.id",
        ],
        "its data directory belongs to another broker: choose another one with --data-dir, or forget \
         what is stored there with --fresh",
    ),
    (
        &[
            "meta.properties",
            "unknown metadata.version",
            "unsupported metadata.version",
            "no readable meta.properties",
            "unknown feature level",
        ],
        "its data directory was written by another version of Kafka, or is damaged: choose another one \
         with --data-dir, or forget what is stored there with --fresh",
    ),
    (
        &[
            "failed to acquire lock on file",
            "already serves the data directory",
        ],
        "another process uses its data directory: stop that one, or choose another directory with \
         --data-dir",
    ),
    (
        &["outofmemoryerror"],
        "its heap is too small: give it more with --kafka-heap",
    ),
    (
        &[
            "could not reserve enough space",
            "insufficient memory",
            "cannot allocate memory",
        ],
        "this machine has too little memory left for it: end other programs, or give it less with \
         --kafka-heap",
    ),
    (
        &["too many open files"],
        "it may not open enough files: raise the limit (`ulimit -n 65536`)",
    ),
    (
        &[
            "could not find or load main class",
            "noclassdeffounderror",
            "classnotfoundexception",
        ],
        "what was fetched of it is damaged: remove its folder from the cache (~/.cache/barograph), and \
         it is fetched again",
    ),
    (
        &[
            "unrecognized vm option",
            "unrecognized option",
            "could not create the java virtual machine",
        ],
        "the Java runtime does not know its options: install Java 17 or newer, or name one with \
         JAVA_HOME",
    ),
];

/// What is wrong and what to do about it. The newest line that says something decides; of two rows
/// that fit a line, the first.
pub(crate) fn of(lines: &[String]) -> Option<&'static str> {
    lines.iter().rev().find_map(|line| {
        let line = line.to_lowercase();
        let fits = |words: &[&str]| words.iter().any(|words| line.contains(words));
        TABLE
            .iter()
            .find(|(words, _)| fits(words))
            .map(|(_, sentence)| *sentence)
    })
}

/// The last lines that are no frames of a trace.
pub(crate) fn without_traces(lines: Vec<String>, count: usize) -> Vec<String> {
    let mut told: Vec<String> = lines.into_iter().filter(|line| !is_frame(line)).collect();
    told.drain(..told.len().saturating_sub(count));
    told
}

fn is_frame(line: &str) -> bool {
    let inner = line.trim_start();
    let indented = inner.len() < line.len();
    indented && (inner.starts_with("at ") || inner.starts_with("... "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(log: &str, begins: &str) {
        let lines: Vec<String> = log.lines().map(ToOwned::to_owned).collect();
        let said = of(&lines).unwrap_or("nothing");
        assert!(said.starts_with(begins), "{log}: {said}");
    }

    #[test]
    fn traces_become_sentences() {
        check(
            "2026-11-26T20:00:00.000Z ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)\n\
             org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.\n\
             \tat kafka.network.Acceptor.openServerSocket(SocketServer.scala:722)\n\
             Caused by: java.net.BindException: Address already in use\n\
             \t... 13 more",
            "one of its ports was taken",
        );
        check(
            "java.lang.RuntimeException: Invalid cluster.id in: /x/meta.properties. Expected abc, but read def",
            "its data directory belongs to another cluster",
        );
        check(
            "java.lang.RuntimeException: Stored node id 2 doesn't match previous node id 1 in /x/meta.properties.",
            "its data directory belongs to another broker",
        );
        check(
            "java.lang.RuntimeException: No `meta.properties` found in /x (have you run `kafka-storage.sh` to format the directory?)",
            "its data directory was written by another version",
        );
        check(
            "Exception in thread \"main\" java.lang.UnsupportedClassVersionError: kafka/Kafka has been compiled by a more recent version of the Java Runtime (class file version 61.0)",
            "the Java runtime is too old",
        );
        check(
            "java.io.IOException: No space left on device\n\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)",
            "the disk is full",
        );
        check(
            "java.nio.file.AccessDeniedException: /x/data/bootstrap.checkpoint",
            "it may not write",
        );
        check(
            "java.nio.file.FileSystemException: /x/y: Read-only file system",
            "its directory lies on a file system that is read-only",
        );
        check(
            "org.apache.kafka.common.KafkaException: Failed to acquire lock on file .lock in /x. A Kafka instance in another process or thread is using this directory.",
            "another process uses its data directory",
        );
        check(
            "Terminating due to java.lang.OutOfMemoryError: Java heap space",
            "its heap",
        );
        check(
            "Error: Could not find or load main class kafka.Kafka",
            "what was fetched",
        );
        check("INFO all is well", "nothing");
    }

    #[test]
    fn what_has_no_sentence_keeps_its_lines_and_loses_its_frames() {
        let log = "one\ntwo\n\tat a.b.C.d(C.java:1)\n    at e.f(G.scala:2)\nCaused by: x\n\t... 13 more\n  indented";
        let lines = log.lines().map(ToOwned::to_owned).collect();
        assert_eq!(
            without_traces(lines, 3),
            ["two", "Caused by: x", "  indented"]
        );
    }
}
