//! Takes the library out of the package that npm brought, after the package's checksum was compared.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256, Sha512};

use super::access::hex;
use super::cache::{LIBRARY, MANIFEST, Manifest, Package};
use super::error::EngineError;
use super::files::{make_private_dir, write_private};

const BUFFER_BYTES: usize = 256 * 1024;

/// Compares the package's size and SHA-512 with those it must have. `tick` may end it with an error.
pub(super) fn verify(
    tarball: &Path,
    package: &Package,
    tick: &mut dyn FnMut(u64) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let wrong = |reason: String| Err(EngineError::Integrity { reason });
    let mut file = File::open(tarball).map_err(EngineError::io("open", tarball))?;
    let bytes = file.metadata().map_err(EngineError::io("look at", tarball))?.len();
    if bytes != package.tarball_bytes {
        return wrong(format!("{bytes} bytes instead of {}", package.tarball_bytes));
    }
    let mut hash = Sha512::new();
    copy(&mut file, tarball, |piece| {
        hash.update(piece);
        tick(0)
    })?;
    if STANDARD.encode(hash.finalize()) != package.tarball_sha512 {
        return wrong("its SHA-512 differs".into());
    }
    Ok(())
}

/// Writes the library and its manifest into `dir`, which is made, and everything is on the disk on return. `tick`
/// learns of the bytes that were written, and may end it with an error.
pub(super) fn unpack(
    tarball: &Path,
    dir: &Path,
    package: &Package,
    tick: &mut dyn FnMut(u64) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    make_private_dir(dir)?;
    let file = File::open(tarball).map_err(EngineError::io("open", tarball))?;
    let mut archive = tar::Archive::new(GzDecoder::new(io::BufReader::with_capacity(BUFFER_BYTES, file)));
    let unreadable = || EngineError::io("unpack", tarball);
    for entry in archive.entries().map_err(unreadable())? {
        let entry = entry.map_err(unreadable())?;
        if entry.path().map_err(unreadable())? != Path::new("package").join(LIBRARY) {
            continue;
        }
        let path = dir.join(LIBRARY);
        let mut file = File::create_new(&path).map_err(EngineError::io("make", &path))?;
        let mut hash = Sha256::new();
        let mut written = 0;
        // One byte more than it should have is enough to see that it is another file.
        copy(&mut entry.take(package.library_bytes + 1), tarball, |piece| {
            hash.update(piece);
            file.write_all(piece).map_err(EngineError::io("write", &path))?;
            written += piece.len() as u64;
            tick(written)
        })?;
        if written != package.library_bytes {
            return Err(EngineError::Integrity {
                reason: format!("{LIBRARY} is not {} bytes long", package.library_bytes),
            });
        }
        file.sync_all().map_err(EngineError::io("write", &path))?;
        let manifest = Manifest {
            version: package.version.into(),
            arch: package.arch.into(),
            library_bytes: written,
            library_sha256: hex(&hash.finalize()),
        };
        let path = dir.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| EngineError::io("write", &path)(error.into()))?;
        write_private(&path, &text)?;
        return sync_dir(dir);
    }
    Err(EngineError::Integrity { reason: format!("there is no {LIBRARY} in it") })
}

/// Moves a finished directory to its final name, over a broken one that may be there.
pub(super) fn publish(from: &Path, to: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(EngineError::io("replace", to)(error));
        }
        _ => {}
    }
    fs::rename(from, to).map_err(EngineError::io("make", to))?;
    to.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> Result<(), EngineError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(EngineError::io("write", dir))
}

fn copy(
    from: &mut impl Read,
    name: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(EngineError::io("read", name)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::super::cache::find;
    use super::*;

    fn tarball(dir: &Path, library: &[u8]) -> (std::path::PathBuf, Package) {
        let path = dir.join("p.tgz");
        let mut archive =
            tar::Builder::new(GzEncoder::new(File::create(&path).unwrap(), Compression::fast()));
        for (name, bytes) in [("package/other", &b"other"[..]), ("package/libchdb.so", library)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o755);
            archive.append_data(&mut header, name, bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        let package = Package {
            name: "p",
            version: "1",
            arch: "x64",
            tarball_bytes: bytes.len() as u64,
            tarball_sha512: STANDARD.encode(Sha512::digest(&bytes)).leak(),
            library_bytes: library.len() as u64,
        };
        (path, package)
    }

    #[test]
    fn what_was_unpacked_and_published_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (path, package) = tarball(dir.path(), &[7; 600_000]);
        verify(&path, &package, &mut |_| Ok(())).unwrap();
        let mut last = 0;
        let out = dir.path().join("out");
        unpack(&path, &out, &package, &mut |bytes| {
            last = bytes;
            Ok(())
        })
        .unwrap();
        assert_eq!(last, 600_000);
        let to = super::super::cache::dir_of(dir.path(), &package);
        fs::create_dir(&to).unwrap();
        fs::write(to.join("broken"), "").unwrap();
        publish(&out, &to).unwrap();
        assert!(find(dir.path(), &package).is_some());
        assert!(!out.exists());
    }

    #[test]
    fn another_content_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut package) = tarball(dir.path(), &[7; 1000]);
        package.library_bytes = 999;
        let error = unpack(&path, &dir.path().join("out"), &package, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, EngineError::Integrity { .. }), "{error}");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = verify(&path, &package, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, EngineError::Integrity { .. }), "{error}");
        fs::write(&path, &bytes[1..]).unwrap();
        assert!(verify(&path, &package, &mut |_| Ok(())).is_err());
    }
}
