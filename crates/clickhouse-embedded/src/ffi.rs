//! The engine's C API behind safe types; the only module that may be unsafe.
//! Invariant: a handle is freed exactly once, while its connection and the library are alive.
//!
//! A `Connection` runs one statement at a time (`&mut self`), from whichever thread holds it.
//! Streams borrow their connection, so neither can outlive it or run beside another statement.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    marker::PhantomData,
    path::Path,
    sync::Arc,
};

use libloading::Library;

/// Why the engine could not be loaded or connected to.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is missing, not a shared library, or lacks a symbol.
    #[error("cannot load the ClickHouse engine from {path}: {source}")]
    Library {
        path: String,
        source: libloading::Error,
    },
    /// An argument holds a NUL byte.
    #[error("an argument of the engine holds a NUL byte")]
    Argument,
    /// The engine refused the data directory.
    #[error("the engine did not open the data directory")]
    Connect,
}

#[repr(C)]
struct RawConnection(c_void);
#[repr(C)]
struct RawResult(c_void);
#[repr(C)]
struct RawInsert(c_void);

/// Name and value arrays as every `*_with_params_n` call takes them.
type Names = *const *const c_char;
type Lengths = *const usize;

/// What `chdb_classify_query_n` fills; the caller says how large its own is.
#[repr(C)]
struct RawAnalysis {
    size: u32,
    statements: u32,
    flags: u32,
    class: u32,
}

/// What the engine's parser makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Changes nothing and writes no file.
    ReadsOnly,
    Changes,
    /// More than one statement.
    Several,
    /// None that it can read.
    Unreadable,
}

/// The functions used here, with the signatures of `chdb.h` 26.7.
struct Api {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut *mut RawConnection,
    close: unsafe extern "C" fn(*mut *mut RawConnection),
    query: QueryFn,
    classify: ClassifyFn,
    stream_query: QueryFn,
    stream_fetch: unsafe extern "C" fn(*mut RawConnection, *mut RawResult) -> *mut RawResult,
    stream_cancel: unsafe extern "C" fn(*mut RawConnection, *mut RawResult),
    insert: InsertFn,
    insert_append: unsafe extern "C" fn(*mut RawInsert, *const c_void, usize) -> c_int,
    insert_done: unsafe extern "C" fn(*mut RawInsert) -> *mut RawResult,
    insert_cancel: unsafe extern "C" fn(*mut RawInsert),
    insert_error: unsafe extern "C" fn(*mut RawInsert) -> *const c_char,
    insert_destroy: unsafe extern "C" fn(*mut RawInsert),
    result_destroy: unsafe extern "C" fn(*mut RawResult),
    result_buffer: unsafe extern "C" fn(*mut RawResult) -> *const u8,
    result_length: unsafe extern "C" fn(*mut RawResult) -> usize,
    result_error: unsafe extern "C" fn(*mut RawResult) -> *const c_char,
    rows_read: NumberFn,
    bytes_read: NumberFn,
    storage_rows_read: NumberFn,
    storage_bytes_read: NumberFn,
    rows_written: NumberFn,
    bytes_written: NumberFn,
    _library: Library,
}

type NumberFn = unsafe extern "C" fn(*mut RawResult) -> u64;
type QueryFn = unsafe extern "C" fn(
    *mut RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    Names,
    Lengths,
    Names,
    Lengths,
    usize,
) -> *mut RawResult;
type ClassifyFn = unsafe extern "C" fn(
    *mut RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *mut RawAnalysis,
) -> c_int;
type InsertFn = unsafe extern "C" fn(
    *mut RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    Names,
    Lengths,
    Names,
    Lengths,
    usize,
) -> *mut RawInsert;

/// The loaded library. Cheap to clone; unloaded never (its threads may outlive the last handle).
#[derive(Clone)]
pub(crate) struct Engine(Arc<std::mem::ManuallyDrop<Api>>);

impl Engine {
    /// Loads `libchdb.so` and keeps its hands off this process's signal handlers.
    pub(crate) fn load(path: &Path) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Library {
            path: path.display().to_string(),
            source,
        };
        // SAFETY: the initialisers of libchdb have no preconditions; nothing else is loaded by name.
        let library = unsafe { Library::new(path) }.map_err(failed)?;
        // SAFETY: every symbol is looked up with the signature that chdb.h declares for it, and the
        // function pointers live in the same struct as the library, which is never dropped.
        let api = unsafe { Self::symbols(library) }.map_err(failed)?;
        Ok(Self(Arc::new(std::mem::ManuallyDrop::new(api))))
    }

    // SAFETY (callers): `library` must be libchdb, so that the signatures match.
    unsafe fn symbols(library: Library) -> Result<Api, libloading::Error> {
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: promised by the caller; the type is inferred from the field it fills.
                *unsafe { library.get($name) }?
            };
        }
        let disable: unsafe extern "C" fn(c_int) = symbol!(b"chdb_set_signal_handlers_enabled");
        // SAFETY: has no preconditions and must precede the first connect, which it does.
        unsafe { disable(0) };
        Ok(Api {
            connect: symbol!(b"chdb_connect"),
            close: symbol!(b"chdb_close_conn"),
            query: symbol!(b"chdb_query_with_params_n"),
            classify: symbol!(b"chdb_classify_query_n"),
            stream_query: symbol!(b"chdb_stream_query_with_params_n"),
            stream_fetch: symbol!(b"chdb_stream_fetch_result"),
            stream_cancel: symbol!(b"chdb_stream_cancel_query"),
            insert: symbol!(b"chdb_stream_insert_with_params_n"),
            insert_append: symbol!(b"chdb_stream_append"),
            insert_done: symbol!(b"chdb_stream_done"),
            insert_cancel: symbol!(b"chdb_stream_cancel_insert"),
            insert_error: symbol!(b"chdb_stream_insert_error"),
            insert_destroy: symbol!(b"chdb_destroy_insert_stream"),
            result_destroy: symbol!(b"chdb_destroy_query_result"),
            result_buffer: symbol!(b"chdb_result_buffer"),
            result_length: symbol!(b"chdb_result_length"),
            result_error: symbol!(b"chdb_result_error"),
            rows_read: symbol!(b"chdb_result_rows_read"),
            bytes_read: symbol!(b"chdb_result_bytes_read"),
            storage_rows_read: symbol!(b"chdb_result_storage_rows_read"),
            storage_bytes_read: symbol!(b"chdb_result_storage_bytes_read"),
            rows_written: symbol!(b"chdb_result_rows_written"),
            bytes_written: symbol!(b"chdb_result_bytes_written"),
            _library: library,
        })
    }

    /// Opens a connection; the first one starts the engine on the directory, the last one stops it.
    pub(crate) fn connect(&self, arguments: &[String]) -> Result<Connection, LoadError> {
        let owned = std::iter::once("clickhouse")
            .chain(arguments.iter().map(String::as_str))
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| LoadError::Argument)?;
        let mut argv: Vec<*mut c_char> = owned.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
        // SAFETY: argv holds argv.len() NUL-terminated strings that live until the call returns;
        // the engine copies what it keeps and writes to none of them.
        let handle = unsafe { (self.0.connect)(argv.len() as c_int, argv.as_mut_ptr()) };
        // SAFETY: a non-null handle points to the connection, as chdb.h says.
        if handle.is_null() || unsafe { *handle }.is_null() {
            return Err(LoadError::Connect);
        }
        Ok(Connection {
            engine: self.clone(),
            handle,
        })
    }
}

/// One engine session: current database, settings, temporary tables. Closed on drop.
pub(crate) struct Connection {
    engine: Engine,
    handle: *mut *mut RawConnection,
}

// SAFETY: the engine ties no state of a connection to a thread (each call attaches its own thread
// status), and `&mut self` on every call keeps two threads from using it at once.
unsafe impl Send for Connection {}

/// A statement with its default format and `{name:Type}` parameters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Call<'a> {
    pub text: &'a [u8],
    pub format: &'a str,
    pub parameters: &'a [(String, String)],
}

/// Borrowed argument arrays of one call.
struct Arguments {
    names: Vec<*const c_char>,
    name_lengths: Vec<usize>,
    values: Vec<*const c_char>,
    value_lengths: Vec<usize>,
}

impl Arguments {
    fn of(parameters: &[(String, String)]) -> Self {
        Self {
            names: parameters
                .iter()
                .map(|(name, _)| name.as_ptr().cast())
                .collect(),
            name_lengths: parameters.iter().map(|(name, _)| name.len()).collect(),
            values: parameters
                .iter()
                .map(|(_, value)| value.as_ptr().cast())
                .collect(),
            value_lengths: parameters.iter().map(|(_, value)| value.len()).collect(),
        }
    }
}

impl Connection {
    fn api(&self) -> &Api {
        &self.engine.0
    }

    fn raw(&self) -> *mut RawConnection {
        // SAFETY: `handle` was checked in `connect` and stays valid until `drop`.
        unsafe { *self.handle }
    }

    /// Parses a text and says what it would do. Runs nothing.
    pub(crate) fn classify(&mut self, text: &[u8]) -> Class {
        let mut analysis = RawAnalysis {
            size: size_of::<RawAnalysis>() as u32,
            statements: 0,
            flags: 0,
            class: u32::MAX,
        };
        // SAFETY: the text comes with its length, and `analysis` says its own; both outlive the call,
        // which keeps neither. Without a target database its name is not looked at.
        let state = unsafe {
            (self.api().classify)(
                self.raw(),
                text.as_ptr().cast(),
                text.len(),
                std::ptr::null(),
                0,
                &raw mut analysis,
            )
        };
        match (state, analysis.statements, analysis.class) {
            (0, 1, 0) => Class::ReadsOnly,
            // In a database, beside them, or of the session or server.
            (0, 1, 1..=3) => Class::Changes,
            (0, 2.., _) => Class::Several,
            _ => Class::Unreadable,
        }
    }

    /// Runs a statement to its end and returns the whole result.
    pub(crate) fn query(&mut self, call: Call<'_>) -> Result<Output, String> {
        let function = self.api().query;
        let result = self.start(function, call);
        // SAFETY: `result` is the live handle just returned; `take` frees it.
        unsafe { take(self.api(), result) }
    }

    /// Starts a SELECT; the caller fetches it block by block.
    pub(crate) fn stream(&mut self, call: Call<'_>) -> Result<SelectStream<'_>, String> {
        let function = self.api().stream_query;
        let result = self.start(function, call);
        let stream = SelectStream {
            connection: self,
            result,
            finished: false,
        };
        // SAFETY: `result` is live until `stream` drops.
        match unsafe { error_of(stream.connection.api(), stream.result) } {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    fn start(&mut self, function: QueryFn, call: Call<'_>) -> *mut RawResult {
        let arguments = Arguments::of(call.parameters);
        // SAFETY: every pointer comes with its length and outlives the call; the engine copies them.
        unsafe {
            function(
                self.raw(),
                call.text.as_ptr().cast(),
                call.text.len(),
                call.format.as_ptr().cast(),
                call.format.len(),
                arguments.names.as_ptr(),
                arguments.name_lengths.as_ptr(),
                arguments.values.as_ptr(),
                arguments.value_lengths.as_ptr(),
                call.parameters.len(),
            )
        }
    }

    /// Starts an INSERT whose rows follow in `call.format`; the text carries no FORMAT clause.
    pub(crate) fn insert(&mut self, call: Call<'_>) -> Result<InsertStream<'_>, String> {
        let arguments = Arguments::of(call.parameters);
        // SAFETY: as in `start`.
        let insert = unsafe {
            (self.api().insert)(
                self.raw(),
                call.text.as_ptr().cast(),
                call.text.len(),
                call.format.as_ptr().cast(),
                call.format.len(),
                arguments.names.as_ptr(),
                arguments.name_lengths.as_ptr(),
                arguments.values.as_ptr(),
                arguments.value_lengths.as_ptr(),
                call.parameters.len(),
            )
        };
        let stream = InsertStream {
            engine: self.engine.clone(),
            insert,
            settled: false,
            connection: PhantomData,
        };
        match stream.error() {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: closed once, here; streams borrow the connection, so none is left.
        unsafe { (self.engine.0.close)(self.handle) };
    }
}

/// What a statement, or one fetched block of it, gave.
#[derive(Debug, Default, Clone)]
pub(crate) struct Output {
    pub data: Vec<u8>,
    pub result_rows: u64,
    pub result_bytes: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
}

/// A running SELECT. Dropping it cancels what is left.
pub(crate) struct SelectStream<'c> {
    connection: &'c mut Connection,
    result: *mut RawResult,
    finished: bool,
}

impl SelectStream<'_> {
    /// The next block, or `None` at the end.
    pub(crate) fn fetch(&mut self) -> Result<Option<Output>, String> {
        if self.finished {
            return Ok(None);
        }
        let api = self.connection.api();
        // SAFETY: both handles are live; `take` frees the block's own.
        let block = unsafe { take(api, (api.stream_fetch)(self.connection.raw(), self.result)) };
        self.finished = !matches!(&block, Ok(output) if !output.data.is_empty());
        block.map(|output| (!self.finished).then_some(output))
    }
}

impl Drop for SelectStream<'_> {
    fn drop(&mut self) {
        let api = self.connection.api();
        // SAFETY: both handles are live, and nothing uses them afterwards. Cancelling is for a
        // stream that has neither ended nor failed.
        unsafe {
            if !self.finished && error_of(api, self.result).is_none() {
                (api.stream_cancel)(self.connection.raw(), self.result);
            }
            (api.result_destroy)(self.result);
        }
    }
}

/// A running INSERT. Nothing is committed by `drop`: only `finish` does.
pub(crate) struct InsertStream<'c> {
    engine: Engine,
    insert: *mut RawInsert,
    settled: bool,
    connection: PhantomData<&'c mut Connection>,
}

impl InsertStream<'_> {
    /// Hands over rows. `false` means that the engine has failed; `finish` tells why.
    pub(crate) fn append(&mut self, data: &[u8]) -> bool {
        // SAFETY: the handle is live; the engine copies `data` before it returns.
        unsafe { (self.engine.0.insert_append)(self.insert, data.as_ptr().cast(), data.len()) == 0 }
    }

    /// Ends the input and commits.
    pub(crate) fn finish(mut self) -> Result<Output, String> {
        self.settled = true;
        // SAFETY: the handle is live; `take` frees the result's own, `drop` the stream's.
        unsafe { take(&self.engine.0, (self.engine.0.insert_done)(self.insert)) }
    }

    fn error(&self) -> Option<String> {
        // SAFETY: the handle is live; the string belongs to it and is copied at once.
        unsafe { text((self.engine.0.insert_error)(self.insert)) }
    }
}

impl Drop for InsertStream<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and this is its last use; the borrowed connection is open.
        unsafe {
            if !self.settled {
                (self.engine.0.insert_cancel)(self.insert);
            }
            (self.engine.0.insert_destroy)(self.insert);
        }
    }
}

// SAFETY (callers): `result` must be a live handle; it is freed here.
unsafe fn take(api: &Api, result: *mut RawResult) -> Result<Output, String> {
    if result.is_null() {
        return Err("the engine gave no result".to_owned());
    }
    // SAFETY: `result` is live until the destroy call below; buffer and length belong together.
    unsafe {
        let outcome = match error_of(api, result) {
            Some(error) => Err(error),
            None => Ok(Output {
                data: copy((api.result_buffer)(result), (api.result_length)(result)),
                result_rows: (api.rows_read)(result),
                result_bytes: (api.bytes_read)(result),
                read_rows: (api.storage_rows_read)(result),
                read_bytes: (api.storage_bytes_read)(result),
                written_rows: (api.rows_written)(result),
                written_bytes: (api.bytes_written)(result),
            }),
        };
        (api.result_destroy)(result);
        outcome
    }
}

// SAFETY (callers): `result` must be a live handle or null.
unsafe fn error_of(api: &Api, result: *mut RawResult) -> Option<String> {
    if result.is_null() {
        return Some("the engine gave no result".to_owned());
    }
    // SAFETY: promised by the caller; the string is copied at once.
    unsafe { text((api.result_error)(result)) }
}

// SAFETY (callers): `pointer` must be null or a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    let text = unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned();
    (!text.is_empty()).then_some(text)
}

// SAFETY (callers): `pointer` must be null or valid for `length` bytes.
unsafe fn copy(pointer: *const u8, length: usize) -> Vec<u8> {
    if pointer.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(pointer, length) }.to_vec()
}
