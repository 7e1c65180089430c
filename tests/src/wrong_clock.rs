//! A wall clock that a test sets, for real processes: `wrong_clock.c`, compiled by the linker
//! driver that Rust needs anyway.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// By how far the clock of the processes started under it is wrong.
#[derive(Debug)]
pub struct WrongClock {
    library: PathBuf,
    step: PathBuf,
    file: File,
}

impl WrongClock {
    /// Right, for now. Its files are in `dir`.
    pub fn new(dir: &Path) -> Self {
        let (source, library) = (dir.join("wrong_clock.c"), dir.join("wrong_clock.so"));
        fs::write(&source, include_str!("wrong_clock.c")).expect("the folder is writable");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]);
        assert!(compiler.status().expect("cc is there, as Rust links with it").success());
        let step = dir.join("wrong_clock.step");
        let file = File::create(&step).expect("the folder is writable");
        let clock = Self { library, step, file };
        clock.set(0);
        clock
    }

    /// Sets it `seconds` beside what is right, for processes that run too.
    pub fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).expect("the file is writable");
    }

    /// What starts a program under it.
    pub fn wrapper(&self) -> [String; 3] {
        let (library, step) = (self.library.display(), self.step.display());
        ["env".to_owned(), format!("LD_PRELOAD={library}"), format!("WRONG_CLOCK={step}")]
    }
}
