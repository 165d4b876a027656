//! Renders the texts that end up inside packages; the only user of Handlebars.
//!
//! Strict: a misspelt name is an error with line and column. Every value is quoted for the language it lands in; only the helper
//! `raw` inserts text as it is, and only text of the packager's own may be given to it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use handlebars::template::TemplateElement;
use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output as Out, RenderContext, RenderErrorReason, Template,
    TemplateError,
};
use serde::Serialize;

use crate::base::error::{self, Error, Result};

/// The templates that are built in: name (path below `templates/` without `.hbs`), text.
const TEMPLATES: &[(&str, &str)] = &[
    ("deb/dkms/copyright.txt", include_str!("../../templates/deb/dkms/copyright.txt.hbs")),
    ("deb/dkms/postinst", include_str!("../../templates/deb/dkms/postinst.hbs")),
    ("deb/dkms/postrm", include_str!("../../templates/deb/dkms/postrm.hbs")),
    ("deb/dkms/prerm", include_str!("../../templates/deb/dkms/prerm.hbs")),
    ("certificate/tell", include_str!("../../templates/certificate/tell.hbs")),
    ("secure-boot", include_str!("../../templates/secure-boot.hbs")),
    ("deb/certificate/copyright.txt", include_str!("../../templates/deb/certificate/copyright.txt.hbs")),
    ("deb/certificate/postinst", include_str!("../../templates/deb/certificate/postinst.hbs")),
    ("rpm/certificate/post", include_str!("../../templates/rpm/certificate/post.hbs")),
    ("rpm/certificate/readme.txt", include_str!("../../templates/rpm/certificate/readme.txt.hbs")),
    ("deb/hold/copyright.txt", include_str!("../../templates/deb/hold/copyright.txt.hbs")),
    ("rpm/hold/libdnf.txt", include_str!("../../templates/rpm/hold/libdnf.txt.hbs")),
    ("deb/source/format.txt", include_str!("../../templates/deb/source/format.txt.hbs")),
    ("deb/source/install-source", include_str!("../../templates/deb/source/install-source.hbs")),
    (
        "deb/source/lintian-overrides.txt",
        include_str!("../../templates/deb/source/lintian-overrides.txt.hbs"),
    ),
    ("deb/source/rules.txt", include_str!("../../templates/deb/source/rules.txt.hbs")),
    ("deb/source/watch.txt", include_str!("../../templates/deb/source/watch.txt.hbs")),
    ("dkms/build", include_str!("../../templates/dkms/build.hbs")),
    ("dkms/forget", include_str!("../../templates/dkms/forget.hbs")),
    ("dkms/freeze", include_str!("../../templates/dkms/freeze.hbs")),
    ("dkms/leave", include_str!("../../templates/dkms/leave.hbs")),
    ("dkms/needs", include_str!("../../templates/dkms/needs.hbs")),
    ("dkms/remove", include_str!("../../templates/dkms/remove.hbs")),
    ("dkms/kernels", include_str!("../../templates/dkms/kernels.hbs")),
    ("dkms/stash", include_str!("../../templates/dkms/stash.hbs")),
    ("dkms/state", include_str!("../../templates/dkms/state.hbs")),
    ("deb/prebuilt/copyright.txt", include_str!("../../templates/deb/prebuilt/copyright.txt.hbs")),
    ("deb/initramfs/renew", include_str!("../../templates/deb/initramfs/renew.hbs")),
    ("deb/prebuilt/postinst", include_str!("../../templates/deb/prebuilt/postinst.hbs")),
    ("deb/prebuilt/postrm", include_str!("../../templates/deb/prebuilt/postrm.hbs")),
    ("prebuilt/forget", include_str!("../../templates/prebuilt/forget.hbs")),
    ("prebuilt/index", include_str!("../../templates/prebuilt/index.hbs")),
    ("initramfs/ours", include_str!("../../templates/initramfs/ours.hbs")),
    ("deb/initramfs/later", include_str!("../../templates/deb/initramfs/later.hbs")),
    ("initramfs/mark", include_str!("../../templates/initramfs/mark.hbs")),
    ("initramfs/marked", include_str!("../../templates/initramfs/marked.hbs")),
    ("initramfs/marks", include_str!("../../templates/initramfs/marks.hbs")),
    ("rpm/initramfs/pending", include_str!("../../templates/rpm/initramfs/pending.hbs")),
    ("prebuilt/state", include_str!("../../templates/prebuilt/state.hbs")),
    ("pacman/readme.txt", include_str!("../../templates/pacman/readme.txt.hbs")),
    ("rpm/source/spec.txt", include_str!("../../templates/rpm/source/spec.txt.hbs")),
    // what kpkg itself runs
    ("compile/build", include_str!("../compile/build.bash")),
    ("rpm/kmod/build-modules", include_str!("../../templates/rpm/kmod/build-modules.hbs")),
    ("rpm/kmod/kmp-spec.txt", include_str!("../../templates/rpm/kmod/kmp-spec.txt.hbs")),
    ("rpm/kmod/spec.txt", include_str!("../../templates/rpm/kmod/spec.txt.hbs")),
    ("rpm/initramfs/belongs", include_str!("../../templates/rpm/initramfs/belongs.hbs")),
    ("rpm/initramfs/renew", include_str!("../../templates/rpm/initramfs/renew.hbs")),
    ("rpm/initramfs/last", include_str!("../../templates/rpm/initramfs/last.hbs")),
    ("rpm/kabi/guard", include_str!("../../templates/rpm/kabi/guard.hbs")),
    ("rpm/kabi/post", include_str!("../../templates/rpm/kabi/post.hbs")),
    ("rpm/kabi/posttrans", include_str!("../../templates/rpm/kabi/posttrans.hbs")),
    ("rpm/kabi/postun", include_str!("../../templates/rpm/kabi/postun.hbs")),
    ("rpm/kabi/weak", include_str!("../../templates/rpm/kabi/weak.hbs")),
    ("rpm/kmp/post", include_str!("../../templates/rpm/kmp/post.hbs")),
    ("rpm/kmp/posttrans", include_str!("../../templates/rpm/kmp/posttrans.hbs")),
    ("rpm/kmp/postun", include_str!("../../templates/rpm/kmp/postun.hbs")),
    ("rpm/kmp/preun", include_str!("../../templates/rpm/kmp/preun.hbs")),
    ("rpm/kmp/state", include_str!("../../templates/rpm/kmp/state.hbs")),
    ("rpm/kmp/moment", include_str!("../../templates/rpm/kmp/moment.hbs")),
    ("rpm/prebuilt/post", include_str!("../../templates/rpm/prebuilt/post.hbs")),
    ("rpm/prebuilt/posttrans", include_str!("../../templates/rpm/prebuilt/posttrans.hbs")),
    ("rpm/prebuilt/postun", include_str!("../../templates/rpm/prebuilt/postun.hbs")),
    ("rpm/prebuilt/readme.txt", include_str!("../../templates/rpm/prebuilt/readme.txt.hbs")),
    ("rpm/dkms/readme.txt", include_str!("../../templates/rpm/dkms/readme.txt.hbs")),
    ("rpm/dkms/posttrans", include_str!("../../templates/rpm/dkms/posttrans.hbs")),
    ("rpm/dkms/pre", include_str!("../../templates/rpm/dkms/pre.hbs")),
    ("rpm/dkms/postun", include_str!("../../templates/rpm/dkms/postun.hbs")),
    ("rpm/dkms/preun", include_str!("../../templates/rpm/dkms/preun.hbs")),
];

/// All templates: ours, and the user's in the place of those of the same name.
///
/// A name that ends in `.txt` is running text, every other one is a POSIX shell script: that is the language its values are quoted
/// for.
pub struct Templates {
    texts: BTreeMap<String, Text>,
    /// Those that were parsed, as reading all takes longer than most runs.
    parsed: RefCell<Parsed>,
}

/// A template as it was written.
struct Text {
    text: Cow<'static, str>,
    /// The file, where it is the user's.
    path: Option<PathBuf>,
}

struct Parsed {
    shell: Handlebars<'static>,
    text: Handlebars<'static>,
}

impl Parsed {
    fn registry(&mut self, name: &str) -> &mut Handlebars<'static> {
        if is_text(name) { &mut self.text } else { &mut self.shell }
    }
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl Templates {
    /// The built-in templates; `overrides` are the user's: name, path, text.
    ///
    /// An override that does not parse is an error with its place; a name that replaces nothing may still be a partial.
    pub fn new(overrides: &[(String, PathBuf, String)]) -> Result<Self> {
        let own = |(name, text): &(&str, &'static str)| {
            ((*name).to_owned(), Text { text: Cow::Borrowed(text), path: None })
        };
        let users = |(name, path, text): &(String, PathBuf, String)| {
            (name.clone(), Text { text: Cow::Owned(text.clone()), path: Some(path.clone()) })
        };
        let texts = TEMPLATES.iter().map(own).chain(overrides.iter().map(users)).collect();
        let parsed = Parsed { shell: registry(shell_word), text: registry(plain_text) };
        let templates = Self { texts, parsed: RefCell::new(parsed) };
        for (name, ..) in overrides {
            templates.parse(name)?;
        }
        Ok(templates)
    }

    /// Fails for an override that replaces nothing and is no partial of another.
    pub fn check_names(&self) -> Result<()> {
        for (name, Text { path, .. }) in self.texts.iter().filter(|(_, text)| text.path.is_some()) {
            let is_known = TEMPLATES.iter().any(|(known, _)| known == name);
            let is_partial =
                |text| partials(text).any(|partial| partial.is_none_or(|partial| partial == name));
            if is_known || self.texts.values().any(|other| is_partial(&other.text)) {
                continue;
            }
            let known: Vec<_> = TEMPLATES.iter().map(|(known, _)| *known).collect();
            let near = error::nearest(name, &known).map(|name| format!("did you mean `{name}`? "));
            let hint = format!("{}`kpkg show --list-templates` lists them", near.unwrap_or_default());
            let path = path.clone().unwrap_or_default();
            return Err(Error::usage(format!("there is no template `{name}`:")).at(path).hint(hint));
        }
        Ok(())
    }

    /// Parses a template and the partials that it uses.
    fn parse(&self, name: &str) -> Result<()> {
        let Some(Text { text, .. }) = self.texts.get(name) else { return Ok(()) };
        let mut parsed = self.parsed.borrow_mut();
        let registry = parsed.registry(name);
        if registry.has_template(name) {
            return Ok(());
        }
        register(registry, name, text).map_err(|error| {
            Error::usage(format!("the template `{}` cannot be read: {}", self.place(name), error.reason()))
        })?;
        drop(parsed);
        for partial in partials(text) {
            for name in self.texts.keys().filter(|name| partial.is_none_or(|partial| *name == partial)) {
                self.parse(name)?;
            }
        }
        Ok(())
    }

    /// The file of a template.
    fn place(&self, name: &str) -> String {
        let path = self.texts.get(name).and_then(|text| text.path.as_ref());
        path.map_or_else(|| format!("{name}.hbs"), |path| path.display().to_string())
    }

    /// The names, and the file of those that the user replaced.
    pub fn list(&self) -> impl Iterator<Item = (&str, Option<&Path>)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.path.as_deref()))
    }

    /// The names and texts.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.text.as_ref()))
    }

    pub fn render(&self, name: &str, values: &impl Serialize) -> Result<String> {
        self.parse(name)?;
        self.parsed.borrow_mut().registry(name).render(name, values).map_err(|error| {
            let place = self.place(name);
            let line = error.line_no.map(|line| format!(":{line}")).unwrap_or_default();
            let column = error.column_no.map(|column| format!(":{column}")).unwrap_or_default();
            Error::usage(format!(
                "the template `{place}{line}{column}` cannot be rendered: {}",
                error.reason()
            ))
            .hint("`kpkg show --list-templates` lists the templates; their values are those of `kpkg show --json`")
        })
    }
}

/// The names of the partials that a text takes in; nothing for a name that is computed, which may be any.
fn partials(text: &str) -> impl Iterator<Item = Option<&str>> {
    text.match_indices("{{").filter_map(|(at, tag)| {
        let tag = text[at + tag.len()..].trim_start_matches(['~', '#']);
        let partial = tag.strip_prefix('>')?.trim_start();
        let end = partial.find(|next: char| next.is_whitespace() || "}~(".contains(next));
        Some(Some(&partial[..end.unwrap_or(partial.len())]).filter(|name| !name.is_empty()))
    })
}

fn is_text(name: &str) -> bool {
    name.ends_with(".txt")
}

fn registry(escape: fn(&str) -> String) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.set_prevent_indent(true);
    registry.register_escape_fn(escape);
    registry.register_helper("raw", Box::new(raw));
    registry
}

/// Parses a template. What stands between the lines of tags is kept from the parser, to which a character of text costs as much as one
/// of a tag: most of a template is a script as it is.
fn register(registry: &mut Handlebars<'_>, name: &str, text: &str) -> std::result::Result<(), TemplateError> {
    let (short, pieces) = shorten(text);
    if pieces.is_empty() || registry.register_template_string(name, &short).is_err() {
        // an error quotes what was written
        return registry.register_template_string(name, text);
    }
    if let Some(mut template) = registry.get_template(name).cloned() {
        put_back(&mut template, &pieces);
        registry.register_template(name, template);
    }
    Ok(())
}

/// Stands around the number of a piece; a character for private use, and a text that has it is parsed whole.
const MARK: char = '\u{E000}';
/// Bytes of the shortest piece; a mark has up to ten.
const SHORTEST: usize = 16;

/// A template with marks in the place of what is text for sure, and those pieces.
///
/// The lines of a piece have neither a tag nor a part of one, and it does not begin or end with blanks, which a `~` beside it takes away.
/// Its newlines stay, inside its mark, so that each tag keeps its line.
fn shorten(text: &str) -> (String, Vec<&str>) {
    let (mut short, mut pieces) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    // the content of a raw block looks like tags and is none
    let is_plain = !text.contains(MARK) && !text.contains("{{{{");
    while is_plain && !rest.is_empty() {
        let gap = &rest[..rest.find("{{").unwrap_or(rest.len())];
        let from = gap.find('\n').filter(|_| !short.is_empty()).map_or(0, |end| end + 1);
        let to = if gap.len() < rest.len() { gap.rfind('\n').unwrap_or(0) } else { gap.len() };
        let lines = gap.get(from..to).unwrap_or_default();
        let piece = lines.trim();
        // the end of a tag may stand in a string, or in a comment
        if gap.contains("}}") || piece.len() < SHORTEST {
            short.push_str(gap);
        } else {
            let at = from + lines.len() - lines.trim_start().len();
            let newlines = "\n".repeat(piece.matches('\n').count());
            let mark = format!("{MARK}{}{newlines}{MARK}", pieces.len());
            short.extend([&gap[..at], &mark, &gap[at + piece.len()..]]);
            pieces.push(piece);
        }
        let tag = &rest[gap.len()..];
        let tag = tag.find("}}").map_or(tag, |end| &tag[..end + 2]);
        short.push_str(tag);
        rest = &rest[gap.len() + tag.len()..];
    }
    short.push_str(rest);
    (short, pieces)
}

/// Puts pieces back into the texts of a template, as far down as it has any.
fn put_back(template: &mut Template, pieces: &[&str]) {
    for element in &mut template.elements {
        let (block, other) = match element {
            TemplateElement::RawString(text) | TemplateElement::Comment(text) if text.contains(MARK) => {
                let parts = text.split(MARK).enumerate().map(|(index, part)| {
                    match part.trim_end().parse::<usize>() {
                        Ok(piece) if index % 2 == 1 => pieces[piece],
                        _ => part,
                    }
                });
                *text = parts.collect();
                continue;
            }
            TemplateElement::HelperBlock(block) => (&mut block.template, Some(&mut block.inverse)),
            TemplateElement::DecoratorBlock(block) | TemplateElement::PartialBlock(block) => {
                (&mut block.template, None)
            }
            _ => continue,
        };
        for inner in [Some(block), other].into_iter().flatten().flatten() {
            put_back(inner, pieces);
        }
    }
}

/// Inserts a text as it is; empty for an absent one.
fn raw(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Out,
) -> HelperResult {
    let value = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("raw", 0))?.value();
    if let Some(text) = value.as_str() {
        out.write(text)?;
    }
    Ok(())
}

/// One word for a POSIX shell, whatever the value holds (XCU 2.2.2, single quotes).
#[must_use]
pub fn shell_word(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Control characters, which could begin another line or field, become blanks.
fn plain_text(value: &str) -> String {
    value.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Values {
        value: &'static str,
    }

    fn render(template: &str, value: &'static str) -> Result<String> {
        let overrides = vec![("t".to_owned(), PathBuf::from("t.hbs"), template.to_owned())];
        Templates::new(&overrides).unwrap().render("t", &Values { value })
    }

    #[test]
    fn a_value_is_one_shell_word() {
        assert_eq!(render("n={{value}}", "it's $(id) & \"x\"").unwrap(), r#"n='it'\''s $(id) & "x"'"#);
        assert_eq!(render("{{raw value}}", "a & b").unwrap(), "a & b");
    }

    #[test]
    fn a_misspelt_name_is_an_error_with_its_place() {
        let error = render("x\n  {{valu}}", "").unwrap_err().to_string();
        assert!(error.contains("t.hbs:2:"), "{error}");
    }

    #[test]
    fn every_built_in_template_parses_with_its_partials() {
        let templates = Templates::new(&[]).unwrap();
        for (name, text) in TEMPLATES {
            templates.parse(name).unwrap();
            for (at, _) in text.match_indices("{{>") {
                let partial = text[at + 3..].trim_start().split(['}', ' ']).next().unwrap();
                assert!(
                    templates.parsed.borrow_mut().registry(name).has_template(partial),
                    "{name}: {partial}"
                );
            }
        }
    }

    /// What the parser makes of a template, and what is registered here.
    fn whole_and_registered(name: &str, text: &str) -> [std::result::Result<Template, String>; 2] {
        let (mut whole, mut other) = (registry(plain_text), registry(plain_text));
        let results = [whole.register_template_string(name, text), register(&mut other, name, text)];
        let templates = [whole, other].map(|registry| registry.get_template(name).cloned());
        let both = results.into_iter().zip(templates);
        let both = both
            .map(|(result, template)| result.map(|()| template.unwrap()).map_err(|error| error.to_string()));
        both.collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn what_is_kept_from_the_parser_changes_nothing() {
        for (name, text) in TEMPLATES {
            let [whole, registered] = whole_and_registered(name, text);
            assert_eq!(whole, registered, "{name}");
        }
        let long = "a line of text\n\tand  one more\n";
        let tags = [
            "{{value}}",
            "{{value~}}",
            "{{~value}}",
            "{{~value~}}",
            "  {{value}}  ",
            "{{{value}}}",
            "{{raw \"}}\"}}",
            "{{raw \"}}\na string of two lines\nand a third\"}}",
            "{{raw\n value\n}}",
            "\\{{value}}",
            "\\\\{{value}}",
            "\\",
            "}}",
            "x",
            "{{#if value}}LONG{{/if}}",
            "{{#if value}}\nLONG{{/if}}\n",
            "{{#if value~}}\nLONG{{~else~}}\nLONGLONG\n {{/if}}\n",
            "{{#each value}}\nLONG{{#if this}}\n\nLONG\n  {{~/if}}\nLONG{{/each}}",
            "{{#unless value}}\n\n{{else if value}}LONG\n{{/unless}}",
            "{{> t}}",
            "\n{{> t}}\n",
            "{{#> t}}\nLONG{{/t}}",
            "{{#*inline \"t\"}}\nLONG{{/inline}}",
            "{{! a comment }}",
            "{{!-- a }} comment\nLONG{{value}}\nLONG --}}",
            "{{!-- }}\nLONG{{value}}\nLONG --}}",
            "{{{{raw}}}}\nLONG{{value}} LONG{{{{/raw}}}}",
            "\u{E000}0\n\u{E000}",
            "{{#if value}}",
            "{{value",
            "{{\nvalue\n",
            "{{/if}}",
        ];
        for tag in tags {
            for (before, behind) in [
                ("", ""),
                ("", "LONG"),
                ("LONG", ""),
                ("LONG", "LONG"),
                ("\n\n  LONG\n ", " \n\n LONG\n"),
                ("LONG\n", "\nLONG"),
            ] {
                let text = format!("{before}{tag}{behind}{tag}\n{behind}").replace("LONG", long);
                let [whole, registered] = whole_and_registered("t", &text);
                assert_eq!(whole, registered, "{text:?}");
            }
        }
        let (short, pieces) = shorten("a line of text\nand one\n{{value}} more\nand another line of it");
        assert_eq!((short.len(), pieces.len()), (31, 2), "{short:?}");
    }

    #[test]
    fn a_partial_may_have_a_computed_name() {
        let overrides = [("t", "{{> (lookup this \"value\")}}"), ("other", "found")]
            .map(|(name, text)| (name.to_owned(), PathBuf::from(name), text.to_owned()));
        let templates = Templates::new(&overrides).unwrap();
        assert_eq!(templates.render("t", &Values { value: "other" }).unwrap(), "found");
        assert!(templates.parsed.borrow_mut().registry("dkms/leave").has_template("dkms/leave"));
    }

    #[test]
    fn every_built_in_template_is_listed() {
        fn walk(folder: &Path, root: &Path, names: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, names);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                    names.push(name.strip_suffix(".hbs").unwrap().to_owned());
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut names = Vec::new();
        walk(&root, &root, &mut names);
        // what kpkg runs itself lies beside who runs it
        names.push("compile/build".to_owned());
        names.sort();
        let listed: Vec<_> = TEMPLATES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut sorted = listed.clone();
        sorted.sort();
        assert_eq!(names, sorted);
    }
}
