//! The words that mean something to the scanner and to merging. All of them are common to logs of any
//! program; none names one.

/// Values that are written as words.
pub(crate) fn is_literal(word: &[u8]) -> bool {
    matches!(
        word,
        b"true"
            | b"false"
            | b"True"
            | b"False"
            | b"TRUE"
            | b"FALSE"
            | b"null"
            | b"NULL"
            | b"Null"
            | b"nil"
            | b"None"
            | b"nan"
            | b"NaN"
            | b"undefined"
    )
}

/// Units that stand after a number, and make a quantity of it.
pub(crate) fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"b" | b"B"
            | b"byte"
            | b"bytes"
            | b"Bytes"
            | b"k"
            | b"K"
            | b"kb"
            | b"kB"
            | b"KB"
            | b"Kb"
            | b"KiB"
            | b"M"
            | b"mb"
            | b"MB"
            | b"Mb"
            | b"MiB"
            | b"G"
            | b"gb"
            | b"GB"
            | b"Gb"
            | b"GiB"
            | b"TB"
            | b"TiB"
            | b"ns"
            | b"us"
            | b"ms"
            | b"s"
            | b"m"
            | b"h"
            | b"d"
            | b"nanosecond"
            | b"nanoseconds"
            | b"microsecond"
            | b"microseconds"
            | b"millisecond"
            | b"milliseconds"
            | b"millis"
            | b"msec"
            | b"msecs"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"min"
            | b"mins"
            | b"minute"
            | b"minutes"
            | b"hour"
            | b"hours"
            | b"hrs"
            | b"day"
            | b"days"
            | b"week"
            | b"weeks"
            | b"Hz"
            | b"kHz"
            | b"KHz"
            | b"MHz"
            | b"GHz"
            | b"bps"
            | b"Kbps"
            | b"Mbps"
            | b"Gbps"
            | b"percent"
            | b"times"
    )
}

pub(crate) fn is_month(word: &[u8]) -> bool {
    matches!(
        word,
        b"Jan"
            | b"Feb"
            | b"Mar"
            | b"Apr"
            | b"May"
            | b"Jun"
            | b"Jul"
            | b"Aug"
            | b"Sep"
            | b"Sept"
            | b"Oct"
            | b"Nov"
            | b"Dec"
            | b"January"
            | b"February"
            | b"March"
            | b"April"
            | b"June"
            | b"July"
            | b"August"
            | b"September"
            | b"October"
            | b"November"
            | b"December"
    )
}

pub(crate) fn is_weekday(word: &[u8]) -> bool {
    matches!(
        word,
        b"Mon"
            | b"Tue"
            | b"Wed"
            | b"Thu"
            | b"Fri"
            | b"Sat"
            | b"Sun"
            | b"Monday"
            | b"Tuesday"
            | b"Wednesday"
            | b"Thursday"
            | b"Friday"
            | b"Saturday"
            | b"Sunday"
    )
}

/// Words after which names come: whatever stands there becomes a parameter early.
pub(crate) fn announces_name(word: &[u8]) -> bool {
    matches!(
        word,
        b"user"
            | b"User"
            | b"username"
            | b"account"
            | b"login"
            | b"host"
            | b"hostname"
            | b"server"
            | b"node"
            | b"client"
            | b"peer"
            | b"domain"
            | b"named"
            | b"name"
            | b"called"
            | b"process"
            | b"program"
            | b"command"
            | b"service"
            | b"file"
            | b"device"
            | b"interface"
            | b"topic"
            | b"queue"
            | b"table"
            | b"database"
            | b"package"
            | b"module"
            | b"class"
            | b"key"
            | b"tenant"
            | b"customer"
    )
}

/// Words after which names come, and other things too.
pub(crate) fn is_preposition(word: &[u8]) -> bool {
    matches!(word, b"for" | b"from" | b"by" | b"on")
}

/// Words that hold a sentence together; none of them is ever a parameter.
pub(crate) fn is_grammar(word: &[u8]) -> bool {
    matches!(
        word,
        b"a" | b"an"
            | b"the"
            | b"this"
            | b"that"
            | b"is"
            | b"are"
            | b"was"
            | b"were"
            | b"be"
            | b"been"
            | b"has"
            | b"have"
            | b"had"
            | b"not"
            | b"no"
            | b"and"
            | b"or"
            | b"of"
            | b"to"
            | b"in"
            | b"at"
            | b"with"
            | b"without"
            | b"as"
            | b"if"
            | b"it"
            | b"its"
            | b"will"
            | b"would"
            | b"can"
            | b"cannot"
            | b"could"
            | b"for"
            | b"from"
            | b"by"
            | b"on"
            | b"into"
            | b"than"
            | b"due"
    )
}

/// The first label of a package's name.
pub(crate) fn is_package_root(label: &[u8]) -> bool {
    matches!(
        label,
        b"com"
            | b"org"
            | b"net"
            | b"io"
            | b"java"
            | b"javax"
            | b"jdk"
            | b"sun"
            | b"scala"
            | b"kotlin"
            | b"android"
            | b"androidx"
    )
}

/// The last label of a host's name, beyond the countries' two letters.
pub(crate) fn is_domain(label: &[u8]) -> bool {
    matches!(
        label,
        b"com"
            | b"org"
            | b"net"
            | b"edu"
            | b"gov"
            | b"mil"
            | b"int"
            | b"info"
            | b"biz"
            | b"arpa"
            | b"local"
            | b"localdomain"
            | b"internal"
            | b"lan"
            | b"home"
            | b"cloud"
            | b"app"
            | b"dev"
    )
}

/// What a file of source code ends in, where that could be a country.
pub(crate) fn is_source(extension: &[u8]) -> bool {
    matches!(
        extension,
        b"rs"
            | b"go"
            | b"py"
            | b"js"
            | b"ts"
            | b"rb"
            | b"pl"
            | b"sh"
            | b"cc"
            | b"hh"
            | b"cs"
            | b"kt"
            | b"so"
            | b"md"
            | b"ml"
            | b"hs"
            | b"ex"
    )
}

/// What the name of an error's class ends in.
pub(crate) fn ends_fault(name: &[u8]) -> bool {
    [
        &b"Exception"[..],
        b"Error",
        b"Failure",
        b"Fault",
        b"Warning",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

/// Keys whose values are what a person is told.
pub(crate) fn is_text_key(key: &[u8]) -> bool {
    matches!(
        key,
        b"msg"
            | b"message"
            | b"Message"
            | b"event"
            | b"error"
            | b"err"
            | b"reason"
            | b"log"
            | b"text"
            | b"description"
            | b"detail"
            | b"details"
            | b"cause"
            | b"exception"
            | b"status_message"
    )
}
