//! A .deb whose data are what no packager would write: members of any kind, name and target, in any order.

use tar::EntryType;

/// With such members: path, kind, content or target. The package is called `linux-headers-x`.
pub fn package<S: AsRef<str>>(members: &[(S, EntryType, S)]) -> Vec<u8> {
    with_control("Package: linux-headers-x\nVersion: 1\nArchitecture: all\n", members)
}

/// With these fields, too.
pub fn with_control<S: AsRef<str>>(fields: &str, members: &[(S, EntryType, S)]) -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    for (path, kind, text) in members {
        let (path, text) = (path.as_ref().as_bytes(), text.as_ref().as_bytes());
        let mut header = root(tar::Header::new_gnu(), 0o755);
        header.set_entry_type(*kind);
        let (body, target): (&[u8], &[u8]) =
            if *kind == EntryType::Regular { (text, b"") } else { (b"", text) };
        header.set_size(body.len() as u64);
        // as they are: the crate's own functions would refuse some
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path);
        gnu.linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        data.append(&header, body).unwrap();
    }
    let mut control = tar::Builder::new(Vec::new());
    let text = format!("{fields}Maintainer: J <j@x.org>\nDescription: x\n");
    let mut header = root(tar::Header::new_gnu(), 0o644);
    header.set_size(text.len() as u64);
    control.append_data(&mut header, "./control", text.as_bytes()).unwrap();
    let mut package = ar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", control.into_inner().unwrap()),
        ("data.tar", data.into_inner().unwrap()),
    ] {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mode(0o100_644);
        header.set_uid(0);
        header.set_gid(0);
        package.append(&header, bytes.as_slice()).unwrap();
    }
    package.into_inner().unwrap()
}

fn root(mut header: tar::Header, mode: u32) -> tar::Header {
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header
}
