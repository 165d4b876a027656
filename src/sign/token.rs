//! Keys in tokens and hardware modules, named by `pkcs11:` (RFC 7512).
//!
//! A PIN is never taken from the URI, which everybody on the machine can read: it is in a file (`pin-source`) or in the environment
//! ([`VARIABLE`](super::secret::VARIABLE)), and is tried once.

use super::Ask;
use super::certificate::Certificate;
use super::secret::Pin;
use crate::base::error::{Error, Result};

/// What every such URI begins with.
pub(super) const SCHEME: &str = "pkcs11:";

/// The token and the key of a URI; what it does not say, any has.
#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "pkcs11"),
    allow(dead_code, reason = "it is read, and nobody is there to look for it")
)]
struct Uri {
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    /// The key's label.
    object: Option<String>,
    id: Option<Vec<u8>>,
    /// The library that knows the token.
    module_path: Option<String>,
    pin_source: Option<String>,
}

impl Uri {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::usage(format!("the key `{SCHEME}…` {what}"))
                .hint("as RFC 7512: `pkcs11:token=NAME;object=KEY?module-path=/usr/lib/…/LIBRARY.so&pin-source=file:/PATH`")
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("is none".to_owned()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for pair in path.split(';').chain(query.split('&')).filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| wrong("has a part without `=`".to_owned()))?;
            let bytes = unescaped(value).ok_or_else(|| wrong(format!("has a broken `%` in `{name}`")))?;
            let known = match name {
                "token" => &mut uri.token,
                "serial" => &mut uri.serial,
                "manufacturer" => &mut uri.manufacturer,
                "model" => &mut uri.model,
                "object" => &mut uri.object,
                "module-path" => &mut uri.module_path,
                "pin-source" => &mut uri.pin_source,
                "id" => {
                    uri.id = Some(bytes);
                    continue;
                }
                "type" if value == "private" => continue,
                "pin-value" => {
                    return Err(wrong("has the PIN in it, where everybody on the machine can read it".to_owned())
                        .hint("put it into a file for yourself alone, named by `pin-source=file:/PATH`, or into KBUILD_SIGN_PIN"));
                }
                other => return Err(wrong(format!("names `{other}`, which kpkg does not know"))),
            };
            let value =
                String::from_utf8(bytes).map_err(|_| wrong(format!("has a `{name}` that is no text")))?;
            if known.replace(value).is_some() {
                return Err(wrong(format!("names `{name}` twice")));
            }
        }
        Ok(uri)
    }
}

/// The bytes of a value.
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut parts = value.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(part.as_bytes().get(2..)?);
    }
    Some(bytes)
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn open(uri: &str, _: &Certificate, _: Option<&Pin>) -> Result<Box<Ask>> {
    Uri::parse(uri)?;
    Err(Error::lacking("this kpkg cannot talk to tokens: it was built without the feature `pkcs11`").hint(
        "take the package kpkg of a distribution's format, or have a command talk to it (`--sign-module-command`, such as \
         `pkcs11-tool --sign --mechanism RSA-PKCS` of opensc with `--sign-module-input digest-info`)",
    ))
}

#[cfg(feature = "pkcs11")]
pub(super) use with_cryptoki::open;

#[cfg(feature = "pkcs11")]
mod with_cryptoki {
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::error::{Error as TokenError, RvError};
    use cryptoki::mechanism::Mechanism;
    use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
    use cryptoki::session::{Session, SessionState, UserType};
    use cryptoki::slot::{Slot, TokenInfo};
    use cryptoki::types::AuthPin;

    use super::{Ask, Certificate, Error, Pin, Result, Uri};
    use crate::sign::Question;

    /// What knows the tokens of a machine where p11-kit is installed.
    const LIBRARY: &str = "p11-kit-proxy.so";

    /// Looks the key up, and asks its token for signatures from then on.
    pub(in crate::sign) fn open(uri: &str, certificate: &Certificate, pin: Option<&Pin>) -> Result<Box<Ask>> {
        let uri = Uri::parse(uri)?;
        let library = uri.module_path.as_deref().unwrap_or(LIBRARY);
        let context = Pkcs11::new(library).map_err(|_| {
            Error::lacking(format!("the PKCS#11 library `{library}` cannot be loaded"))
                .hint("install it, or name it with `module-path=/usr/lib/…/LIBRARY.so` behind a `?`")
        })?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // by another key of this run
            Ok(()) | Err(TokenError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed("the PKCS#11 library does not start", &error)),
        }
        let (slot, token) = find_token(&context, &uri)?;
        let session =
            context.open_ro_session(slot).map_err(|error| failed("the token does not answer", &error))?;
        log_in(&session, &token, &uri, pin)?;
        let key = find_key(&session, &token, &uri)?;
        let (name, is_elliptic) = (token.label().to_owned(), certificate.is_elliptic());
        let session = Mutex::new(session);
        Ok(Box::new(move |asked: &Question<'_>| {
            let session = session.lock().unwrap_or_else(PoisonError::into_inner);
            let signature = if is_elliptic {
                session.sign(&Mechanism::Ecdsa, key, asked.digest)
            } else {
                session.sign(&Mechanism::RsaPkcs, key, &asked.hash.digest_info(asked.digest))
            };
            signature.map_err(|error| {
                failed(&format!("the token `{name}` does not sign `{}`", asked.name), &error)
            })
        }))
    }

    fn failed(what: &str, error: &TokenError) -> Error {
        match error {
            TokenError::Pkcs11(value, function) => {
                Error::failed(format!("{what}: C_{function:?} says {value:?}"))
            }
            other => Error::failed(format!("{what}: {other}")),
        }
    }

    /// The one token that is meant.
    fn find_token(context: &Pkcs11, uri: &Uri) -> Result<(Slot, TokenInfo)> {
        let slots =
            context.get_slots_with_token().map_err(|error| failed("the tokens cannot be listed", &error))?;
        let all: Vec<_> =
            slots.into_iter().filter_map(|slot| Some((slot, context.get_token_info(slot).ok()?))).collect();
        let names: Vec<_> = all.iter().map(|(_, token)| format!("`{}`", token.label())).collect();
        let is_meant = |(_, token): &(Slot, TokenInfo)| {
            [
                (&uri.token, token.label()),
                (&uri.serial, token.serial_number()),
                (&uri.manufacturer, token.manufacturer_id()),
                (&uri.model, token.model()),
            ]
            .into_iter()
            .all(|(wanted, found)| wanted.as_ref().is_none_or(|wanted| wanted == found))
        };
        // one without a name has not been initialised
        let mut meant = all.into_iter().filter(|(_, token)| token.token_initialized()).filter(is_meant);
        let found = meant.next().ok_or_else(|| {
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Error::lacking("the token of the key is not there").hint(format!("there are: {names}"))
        })?;
        if meant.next().is_some() {
            return Err(Error::usage("several tokens fit the key's `pkcs11:`")
                .hint("name one with `token=` or `serial=`"));
        }
        Ok(found)
    }

    /// Once: a token that was asked with a wrong PIN several times locks itself.
    fn log_in(session: &Session, token: &TokenInfo, uri: &Uri, pin: Option<&Pin>) -> Result<()> {
        // also by another key of this run
        let is_in = |state| matches!(state, SessionState::RoUser | SessionState::RwUser);
        if !token.login_required() || session.get_session_info().is_ok_and(|info| is_in(info.session_state()))
        {
            return Ok(());
        }
        let name = token.label();
        let pin = match &uri.pin_source {
            Some(source) => {
                let path = source.strip_prefix("file:").unwrap_or(source);
                Some(read_pin(Path::new(path.strip_prefix("//").unwrap_or(path)))?)
            }
            None => pin.map(|pin| pin.text().to_owned()),
        };
        if pin.is_none() && !token.protected_authentication_path() {
            return Err(Error::usage(format!("the token `{name}` wants a PIN")).hint(
                "put it into a file for yourself alone, named by `pin-source=file:/PATH` behind a `?`, or into KBUILD_SIGN_PIN",
            ));
        }
        match session.login(UserType::User, pin.map(AuthPin::from).as_ref()) {
            Ok(()) | Err(TokenError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(TokenError::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => Err(Error::usage(format!("the PIN of the token `{name}` is wrong")).hint(
                "it was tried once, and is not tried again: tokens lock themselves after some attempts",
            )),
            Err(TokenError::Pkcs11(RvError::PinLocked, _)) => {
                Err(Error::lacking(format!("the token `{name}` has locked itself"))
                    .hint("its security officer can unlock it (`pkcs11-tool --unlock-pin` of opensc)"))
            }
            Err(error) => Err(failed(&format!("the token `{name}` does not let kpkg in"), &error)),
        }
    }

    /// The first line of a file.
    fn read_pin(path: &Path) -> Result<String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io("cannot read the PIN from", path, error).as_usage())?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// The one private key that is meant.
    fn find_key(session: &Session, token: &TokenInfo, uri: &Uri) -> Result<ObjectHandle> {
        let list = |template: &[Attribute]| {
            session
                .find_objects(template)
                .map_err(|error| failed("the keys of the token cannot be listed", &error))
        };
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        let every = template.clone();
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
        template.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
        match list(&template)?.as_slice() {
            [key] => Ok(*key),
            [] => {
                let mut labels = Vec::new();
                for key in list(&every)? {
                    for attribute in session.get_attributes(key, &[AttributeType::Label]).unwrap_or_default()
                    {
                        if let Attribute::Label(label) = attribute {
                            labels.push(format!("`{}`", String::from_utf8_lossy(&label)));
                        }
                    }
                }
                let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
                Err(Error::usage(format!("the token `{}` has no such private key", token.label()))
                    .hint(format!("it has: {labels}")))
            }
            _ => Err(Error::usage(format!("several private keys of the token `{}` fit", token.label()))
                .hint("name one with `object=` or `id=`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_as_rfc_7512_writes_them() {
        let found = Uri::parse(
            "pkcs11:token=Software%20PKCS%2311%20softtoken;object=my-key;id=%69%95;type=private?module-path=/a/b.so&pin-source=file:/etc/pin",
        )
        .unwrap();
        let text = |text: &str| Some(text.to_owned());
        let expected = Uri {
            token: text("Software PKCS#11 softtoken"),
            object: text("my-key"),
            id: Some(vec![0x69, 0x95]),
            module_path: text("/a/b.so"),
            pin_source: text("file:/etc/pin"),
            ..Uri::default()
        };
        assert_eq!(found, expected);
        for (wrong, expected) in [
            ("pkcs11:token=a?pin-value=1234", "has the PIN in it"),
            ("pkcs11:token=%2", "has a broken `%`"),
            ("pkcs11:token=%+1", "has a broken `%`"),
            ("pkcs11:token=%é", "has a broken `%`"),
            ("pkcs11:token", "without `=`"),
            ("pkcs11:token=a;token=b", "`token` twice"),
            ("pkcs11:type=cert", "names `type`"),
            ("pkcs11:frob=1", "names `frob`"),
            ("pkcs11:token=%ff", "no text"),
        ] {
            let error = Uri::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("1234"), "{wrong}: {error}");
        }
    }
}
