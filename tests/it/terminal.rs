//! What a user sees on a terminal of 50, 80 and 120 columns: colours, no path twice, and lines that move while something takes long.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::support;
use support::server::{Page, Server};
use support::{Tree, mirror};

const ROWS: u16 = 60;

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

/// A terminal with a program in it.
struct Terminal {
    parser: vt100::Parser,
    master: File,
    child: Child,
}

impl Terminal {
    fn run(tree: &Tree, columns: u16, words: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let window = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, window).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let open = || -> OwnedFd {
            File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap().into()
        };
        let mut command = tree.command(words);
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        command
            .env("TERM", "xterm-256color")
            .env("PATH", "/usr/bin:/bin")
            .env("KPKG_CACHE", tree.path().join("cache"));
        let child = command.spawn().unwrap();
        Self { parser: vt100::Parser::new(size(ROWS), size(columns), 0), master: File::from(master), child }
    }

    /// Reads to the end; `see` is shown the screen after each piece.
    fn finish(mut self, see: &mut dyn FnMut(&str)) -> (i32, vt100::Parser) {
        let mut bytes = [0; 4096];
        // no one has the other end any more when this fails
        while let Ok(count) = self.master.read(&mut bytes) {
            if count == 0 {
                break;
            }
            self.parser.process(&bytes[..count]);
            see(&self.parser.screen().contents());
        }
        (self.child.wait().unwrap().code().unwrap(), self.parser)
    }
}

/// The screen at the end, for each width.
fn screens(tree: &Tree, words: &[&str]) -> String {
    let mut text = String::new();
    for columns in [50, 80, 120] {
        let (code, parser) = Terminal::run(tree, columns, words).finish(&mut |_| ());
        let rows: Vec<_> = parser.screen().rows(0, columns).collect();
        let rows = rows.join("\n");
        text.push_str(&format!("---- {columns} columns, exit code {code}\n{}\n", rows.trim_end()));
    }
    text
}

#[test]
fn a_terminal_shows_each_path_once_and_fits() {
    let tree = Tree::toy();
    support::golden("terminal/build.txt", &screens(&tree, &["-f", "deb,rpm"]));
    support::golden("terminal/show.txt", &screens(&tree, &["show", "-k", "6.1.0-1-amd64", "-f", "deb"]));
    tree.file("dkms.conf", "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nMAKE[0]=\"make\n");
    support::golden("terminal/check.txt", &screens(&tree, &["check"]));
}

#[test]
fn styles_follow_the_terminal_and_can_be_forbidden() {
    let tree = Tree::toy();
    let styles = |words: &[&str], variable: Option<(&str, &str)>| {
        let mut terminal = tree.command(words);
        terminal.envs(variable);
        let output = terminal.output().unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    assert!(!styles(&["-f", "deb"], None));
    assert!(styles(&["-f", "deb", "--color", "always"], None));
    assert!(styles(&["show", "--color", "always"], None));
    assert!(!styles(&["show"], Some(("NO_COLOR", "1"))));
    let (_, parser) = Terminal::run(&tree, 80, &["-f", "deb"]).finish(&mut |_| ());
    let is_bold = (0..80).any(|column| parser.screen().cell(0, column).is_some_and(vt100::Cell::bold));
    assert!(is_bold, "{}", parser.screen().contents());
}

#[test]
fn what_takes_long_is_told_on_one_line_that_goes() {
    for columns in [50, 80, 120] {
        let tree = Tree::empty();
        support::kernel::driver(&tree);
        support::kernel::headers(&tree, "headers", support::kernel::RELEASE);
        tree.file("headers/Makefile", format!("{}\tsleep 1\n", support::kernel::MAKEFILE));
        let words = ["driver", "--prebuilt", "--kernel-headers", "headers", "-f", "deb"];
        let mut seen = false;
        let (code, parser) = Terminal::run(&tree, columns, &words).finish(&mut |screen| {
            seen |= screen.contains(" Compiling 0/1 toy for 6.1.0-1-toy");
            assert!(screen.matches("Compiling").count() <= 1, "{screen}");
        });
        let end = parser.screen().contents();
        assert!(seen && code == 0, "{columns}: {end}");
        assert!(!end.contains("Compiling") && end.contains("packaged: 1 module, compiled"), "{end}");
    }
}

#[test]
fn where_no_line_can_be_drawn_over_there_is_one_every_ten_seconds() {
    let tree = Tree::empty();
    support::kernel::driver(&tree);
    support::kernel::headers(&tree, "headers", support::kernel::RELEASE);
    tree.file("headers/Makefile", format!("{}\tsleep 11\n", support::kernel::MAKEFILE));
    let mut command = tree.command(&["driver", "--prebuilt", "--kernel-headers", "headers", "-f", "deb"]);
    command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin").env("TERM", "dumb");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let begin = " Compiling toy for 6.1.0-1-toy\n           0 of 1 done; toy for 6.1.0-1-toy\n";
    assert!(text.starts_with(begin) && !text.contains(['\x1b', '\r']), "{text}");
}

#[test]
fn bytes_rate_and_time_left_are_told_while_packages_are_written() {
    let tree = Tree::toy();
    let mut random = support::Random(7);
    let noise: Vec<u8> = (0..(3 << 20) / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    for name in 0..4 {
        tree.file(&format!("blob{name}.bin"), &noise);
    }
    for columns in [50, 80, 120] {
        let mut seen = false;
        let words = ["-f", "deb", "--compression", "xz:9", "--threads", "1", "-o", "out"];
        let (code, parser) = Terminal::run(&tree, columns, &words).finish(&mut |screen| {
            seen |= screen.lines().any(|line| {
                line.starts_with(" Packaging ") && line.contains("MiB/12.00 MiB") && line.contains("MiB/s")
            });
            assert!(screen.matches("Packaging").count() <= 1, "{screen}");
        });
        let end = parser.screen().contents();
        assert!(seen && code == 0 && !end.contains("Packaging"), "{columns}: {end}");
    }
}

#[test]
fn bytes_and_rate_are_told_while_files_come() {
    let server = Server::new();
    let deb = mirror::headers("6.1.0-9-amd64", "6.1.27-1").remove(0);
    server.put("x/headers.deb", Page { bytes: deb.bytes, slow: 400, ..Page::default() });
    for columns in [50, 80, 120] {
        let tree = Tree::empty();
        let packages = format!("[kernel-packages]\n\"ubuntu-22.04\" = [\"{}/x/headers.deb\"]\n", server.url);
        tree.file("kpkg.toml", packages);
        let mut seen = false;
        let words = ["kernels", "update", "ubuntu-22.04"];
        let (code, parser) = Terminal::run(&tree, columns, &words).finish(&mut |screen| {
            seen |= screen.lines().any(|line| line.starts_with("  Fetching ") && line.contains("B/s"));
            assert!(screen.matches("Fetching").count() <= 1, "{screen}");
        });
        let end = parser.screen().contents();
        assert!(seen && code == 0, "{columns}: {end}");
        assert!(!end.contains("Fetching") && end.contains("+ ubuntu-22.04 6.1.0-9-amd64 "), "{end}");
    }
}

#[test]
fn the_jobs_of_a_shard_are_told_on_one_line_that_goes() {
    let kernels = [("6.1.0-9-amd64", "6.1.27-1"), ("6.1.0-10-amd64", "6.1.37-1")];
    let tree = Tree::empty();
    mirror::debian(&tree, &kernels);
    mirror::driver(&tree, &kernels.map(|(release, _)| release));
    let conf = std::fs::read_to_string(tree.path().join("dkms.conf")).unwrap();
    tree.file("dkms.conf", format!("{conf}MAKE[0]=\"sleep 1 && make -C $kernel_source_dir M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build\"\n"));
    for words in [["kernels", "update"], ["kernels", "fetch"], ["matrix", "--shards=1"]] {
        let (code, parser) = Terminal::run(&tree, 80, &words).finish(&mut |_| ());
        assert_eq!(code, 0, "{}", parser.screen().contents());
    }
    let mut seen = [false; 2];
    let words = ["build", "--plan", "plan.json", "--shard", "0", "-o", "out", "--jobs", "1"];
    let (code, parser) = Terminal::run(&tree, 80, &words).finish(&mut |screen| {
        for (done, seen) in seen.iter_mut().enumerate() {
            *seen |= screen.contains(&format!(" Compiling {done}/2 toy for 6.1.0-"));
        }
        assert!(screen.matches(" Compiling").count() <= 1, "{screen}");
    });
    let end = parser.screen().contents();
    assert!(seen == [true; 2] && code == 0 && !end.contains("Compiling"), "{end}");
}

/// The picture in README: a driver is packaged, then one line of its dkms.conf goes.
#[test]
fn the_picture_of_a_run_is_current() {
    let tree = Tree::empty();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/greeter");
    let copied = Command::new("cp").arg("-a").arg(&example).arg(tree.path()).status().unwrap();
    assert!(copied.success());
    let mut lines = Vec::new();
    let mut show = |words: &[&str]| {
        let typed: Vec<_> = ["$ kpkg"].iter().chain(words).copied().collect();
        lines.push(format!("<tspan class=\"b\">{}</tspan>", typed.join(" ")));
        let (_, parser) = Terminal::run(&tree, 84, words).finish(&mut |_| ());
        let text = rows_as_svg(parser.screen());
        lines.extend(text);
        lines.push(String::new());
    };
    show(&["greeter"]);
    let conf = std::fs::read_to_string(example.join("dkms.conf")).unwrap();
    tree.file("greeter/dkms.conf", conf.replace("AUTOINSTALL=\"yes\"\n", ""));
    show(&["check", "greeter"]);
    lines.pop();
    let height = lines.len() * 18 + 24;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" font-family=\"monospace\" font-size=\"14\">\n\
         <style>.b{{font-weight:bold}}.c9{{fill:#ff6b68}}.c10{{fill:#7ee787}}.c3,.c11{{fill:#e3b341}}.c12{{fill:#79c0ff}}.c14{{fill:#76e3ea}}</style>\n\
         <rect width=\"760\" height=\"{height}\" rx=\"8\" fill=\"#161b22\"/>\n<text fill=\"#e6edf3\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        svg.push_str(&format!("<tspan x=\"16\" y=\"{}\">{line}</tspan>\n", number * 18 + 26));
    }
    svg.push_str("</text>\n</svg>\n");
    support::golden("../../docs/src/run.svg", &svg);
}

/// The rows of a screen down to the last that is not empty, with a class for each style.
fn rows_as_svg(screen: &vt100::Screen) -> Vec<String> {
    let (rows, columns) = screen.size();
    let mut lines = Vec::new();
    for row in 0..rows.get() {
        let (mut line, mut open) = (String::new(), String::new());
        for column in 0..columns.get() {
            let Some(cell) = screen.cell(row, column) else { continue };
            let color = match cell.fgcolor() {
                vt100::Color::Idx(index) => format!(" c{index}"),
                _ => String::new(),
            };
            let class = format!("{}{color}", if cell.bold() { "b" } else { "" });
            if class != open {
                line.push_str(if open.is_empty() { "" } else { "</tspan>" });
                if !class.is_empty() {
                    line.push_str(&format!("<tspan class=\"{}\">", class.trim()));
                }
                open = class;
            }
            let text = if cell.contents().is_empty() { " " } else { cell.contents() };
            line.push_str(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        }
        line.push_str(if open.is_empty() { "" } else { "</tspan>" });
        lines.push(line.trim_end().to_owned());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
