//! Writes the recorded dialogues as a fuzzer's first inputs: `seeds <folder>` makes a folder in it for each scanner.
#![allow(clippy::print_stderr)]

use std::error::Error;
use std::path::{Path, PathBuf};

use vscan_backends::registry::SCANNERS;
use vscan_backends::{fuzzing, transcript};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: seeds <folder>")?);
    for scanner in SCANNERS {
        let corpus = folder.join(scanner.scheme);
        std::fs::create_dir_all(&corpus)?;
        let transcripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
        let text = std::fs::read_to_string(transcripts.join(scanner.scheme).with_extension("txt"))?;
        let seeds = transcript::parse(&text)?;
        for (number, input) in seeds.iter().filter_map(fuzzing::seed).enumerate() {
            std::fs::write(corpus.join(format!("recorded-{number}")), input)?;
        }
    }
    Ok(())
}
