//! New keys: a CA, whose certificate is enrolled on machines once, and a key below it that signs, which can be replaced without that.
//!
//! The certificates are of X.509 version 3 (RFC 5280). That of the key is for kernel modules alone: shim refuses it for what boots.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use getrandom::rand_core::TryRng;
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use pem_rfc7468::LineEnding;
use pkcs8::EncodePrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use sha2::{Digest, Sha256};

use super::hash::Hash;
use super::{der, oid, secret};
use crate::base::error::{Error, Result};

/// How many bits the keys have.
#[derive(Debug, Clone, Copy)]
pub struct Bits {
    pub ca: usize,
    pub key: usize,
}

impl Default for Bits {
    fn default() -> Self {
        Self { ca: 4096, key: 3072 }
    }
}

/// How many years the certificates are valid. Kernels do not look at it.
const YEARS: [i64; 2] = [20, 10];

/// Where what was made lies.
#[derive(Debug)]
pub struct Made {
    pub ca_key: PathBuf,
    /// As DER, which mokutil takes.
    pub ca_certificate: PathBuf,
    pub key: PathBuf,
    /// As PEM.
    pub certificate: PathBuf,
}

impl Made {
    /// All of them.
    #[must_use]
    pub fn paths(&self) -> [&Path; 4] {
        [&self.ca_key, &self.ca_certificate, &self.key, &self.certificate]
    }
}

/// Makes both for somebody of this name, in a folder, valid from now (seconds since 1970) on; nothing that is there is overwritten.
pub fn make(name: &str, folder: &Path, bits: Bits, now: i64) -> Result<Made> {
    let is_usual = |byte: char| byte.is_alphanumeric() || "._-+".contains(byte);
    if name.is_empty()
        || name.len() > 40
        || name.chars().any(char::is_control)
        || name.starts_with(['.', '-'])
    {
        return Err(Error::usage(format!("`{}` is no name for a key", name.escape_debug()))
            .hint("give up to 40 letters, digits and blanks, such as the name of your company"));
    }
    secret::keep_to_ourselves();
    let stem: String = name.chars().map(|byte| if is_usual(byte) { byte } else { '-' }).collect();
    let at = |end: &str| folder.join(format!("{stem}{end}"));
    let made = Made {
        ca_key: at("-ca.key"),
        ca_certificate: at("-ca.der"),
        key: at(".key"),
        certificate: at(".pem"),
    };
    if let Some(there) = made.paths().into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::usage("is there, and keys are not overwritten:")
            .at(there)
            .hint("give another name or another folder (`--output`)"));
    }
    let (ca, key) = (generate(bits.ca)?, generate(bits.key)?);
    let now = Timestamp::from_second(now).unwrap_or_default().to_zoned(TimeZone::UTC);
    let names = [
        common_name(&format!("{name} module signing CA")),
        common_name(&format!("{name} module signing key")),
    ];
    let issuer = Issuer { key: &ca, name: &names[0] };
    let ca_certificate = issuer.certificate(&ca, &names[0], true, [&now, &years_after(&now, YEARS[0])])?;
    let certificate = issuer.certificate(&key, &names[1], false, [&now, &years_after(&now, YEARS[1])])?;
    let files = [
        (&made.ca_key, pem("PRIVATE KEY", private(&ca)?.as_bytes())?, 0o600),
        (&made.ca_certificate, ca_certificate, 0o644),
        (&made.key, pem("PRIVATE KEY", private(&key)?.as_bytes())?, 0o600),
        (&made.certificate, pem("CERTIFICATE", &certificate)?, 0o644),
    ];
    fs::create_dir_all(folder).map_err(|error| Error::io("cannot make the folder", folder, error))?;
    for (index, (path, content, mode)) in files.iter().enumerate() {
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(*mode).open(path);
        if let Err(error) = opened.and_then(|mut file| file.write_all(content)) {
            // of what is made together nothing stays alone
            files[..index].iter().for_each(|(path, ..)| drop(fs::remove_file(path)));
            return Err(Error::io("cannot write", *path, error));
        }
    }
    Ok(made)
}

fn broken() -> Error {
    Error::failed("the key that was made cannot be written down")
}

fn generate(bits: usize) -> Result<rsa::PrivateKey> {
    rsa::PrivateKey::new(&mut SysRng, bits)
        .map_err(|_| Error::failed("the kernel gives no randomness for a key"))
}

fn private(key: &rsa::PrivateKey) -> Result<pkcs8::SecretDocument> {
    key.to_pkcs8_der().map_err(|_| broken())
}

fn pem(label: &str, der: &[u8]) -> Result<Vec<u8>> {
    pem_rfc7468::encode_string(label, LineEnding::LF, der).map(String::into_bytes).map_err(|_| broken())
}

fn years_after(now: &Zoned, years: i64) -> Zoned {
    now.checked_add(years.years()).unwrap_or_else(|_| now.clone())
}

/// A name that is nothing but a common name.
fn common_name(name: &str) -> Vec<u8> {
    const UTF8: u8 = 0x0c;
    let attribute =
        der::sequence(&[&der::value(der::OID, oid::COMMON_NAME), &der::value(UTF8, name.as_bytes())]);
    der::sequence(&[&der::value(der::SET, &attribute)])
}

/// RFC 5280, 4.1.2.5: two digits of the year up to 2049.
fn time(time: &Zoned) -> Vec<u8> {
    if time.year() < 2050 {
        der::value(der::UTC_TIME, time.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        der::value(der::GENERALIZED_TIME, time.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}

/// Who signs certificates.
struct Issuer<'a> {
    key: &'a rsa::PrivateKey,
    name: &'a [u8],
}

impl Issuer<'_> {
    /// The certificate of a key, signed by this one.
    fn certificate(
        &self,
        of: &rsa::PrivateKey,
        subject: &[u8],
        is_ca: bool,
        validity: [&Zoned; 2],
    ) -> Result<Vec<u8>> {
        let hash = Hash::Sha256;
        let algorithm =
            der::sequence(&[&der::value(der::OID, &hash.with_rsa()), &der::value(der::NULL, &[])]);
        let mut serial = [0; 16];
        SysRng
            .try_fill_bytes(&mut serial)
            .map_err(|_| Error::failed("the kernel gives no randomness for a number"))?;
        // neither negative nor shorter
        serial[0] = serial[0] & 0x7f | 0x40;
        let (key, key_id) = public(of)?;
        let (_, issuer_id) = public(self.key)?;
        let rsa = der::sequence(&[&der::value(der::OID, oid::RSA), &der::value(der::NULL, &[])]);
        let signed = der::sequence(&[
            // version 3
            &der::value(der::FIELD, &der::number(&[2])),
            &der::number(&serial),
            &algorithm,
            self.name,
            &der::sequence(&validity.map(time).iter().map(Vec::as_slice).collect::<Vec<_>>()),
            subject,
            &der::sequence(&[&rsa, &bits(0, &key)]),
            &der::value(der::FIELD + 3, &extensions(is_ca, &key_id, &issuer_id)),
        ]);
        let form = rsa::Pkcs1v15Sign::new_unprefixed();
        let signature =
            self.key.sign(form, &hash.digest_info(&hash.digest(&signed))).map_err(|_| broken())?;
        Ok(der::sequence(&[&signed, &algorithm, &bits(0, &signature)]))
    }
}

/// The public part of a key, and what it is called: the first 160 bits of its SHA-256 (RFC 7093, 2).
fn public(key: &rsa::PrivateKey) -> Result<(Vec<u8>, Vec<u8>)> {
    let public = key.to_public_key().to_pkcs1_der().map_err(|_| broken())?.as_bytes().to_vec();
    let id = Sha256::digest(&public)[..20].to_vec();
    Ok((public, id))
}

/// A string of bits, of which the last byte has some that are not used.
fn bits(unused: u8, content: &[u8]) -> Vec<u8> {
    der::value(der::BITS, &[&[unused], content].concat())
}

/// What a key may be used for (RFC 5280, 4.2.1).
fn extensions(is_ca: bool, key_id: &[u8], issuer_id: &[u8]) -> Vec<u8> {
    let extension = |id: &[u8], is_critical: bool, content: &[u8]| {
        let critical = if is_critical { der::value(der::BOOLEAN, &[0xff]) } else { Vec::new() };
        der::sequence(&[&der::value(der::OID, id), &critical, &der::value(der::OCTETS, content)])
    };
    let constraints = if is_ca { der::value(der::BOOLEAN, &[0xff]) } else { Vec::new() };
    // keyCertSign and cRLSign, or digitalSignature
    let usage = if is_ca { bits(1, &[0x06]) } else { bits(7, &[0x80]) };
    let mut all = vec![
        extension(oid::BASIC_CONSTRAINTS, true, &der::sequence(&[&constraints])),
        extension(oid::KEY_USAGE, true, &usage),
    ];
    if !is_ca {
        let usages = [oid::CODE_SIGNING, oid::MODULE_SIGNING].map(|id| der::value(der::OID, id));
        all.push(extension(oid::EXTENDED_KEY_USAGE, false, &der::sequence(&[&usages.concat()])));
    }
    all.push(extension(oid::SUBJECT_KEY_ID, false, &der::value(der::OCTETS, key_id)));
    // [0], not constructed
    all.push(extension(oid::AUTHORITY_KEY_ID, false, &der::sequence(&[&der::value(0x80, issuer_id)])));
    der::sequence(&[&all.concat()])
}
