//! Panics on request, so that tests see what becomes of a running server when one of its tasks dies.

/// In debug builds this variable names a folder: a task panics when a file with its name is there.
pub const PANIC_DIR_VARIABLE: &str = "CAIRN_PANIC_DIR";

/// Panics where a test asks for it, by a file in the folder that [`PANIC_DIR_VARIABLE`] names; nothing in
/// release builds. Tasks call it whenever they are polled; a thread calls it where its work begins.
///
/// # Panics
/// If the file is there.
pub fn trip(name: &str) {
    #[cfg(debug_assertions)]
    {
        static FOLDER: std::sync::LazyLock<Option<std::path::PathBuf>> =
            std::sync::LazyLock::new(|| std::env::var_os(PANIC_DIR_VARIABLE).map(Into::into));
        let asked = |folder: &std::path::PathBuf| folder.join(name).exists();
        assert!(!FOLDER.as_ref().is_some_and(asked), "a test asked {name} to panic");
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
