//! The codes of this module: K02xx for reading and evaluating, K03xx for the values of directives.
//!
//! Only names and explanations; must not decide when a finding is made.

use crate::base::diagnostic::Code;

macro_rules! codes {
    ($($name:ident $id:literal $title:literal $explanation:literal;)*) => {
        $(
            #[doc = concat!("`", $id, "`.")]
            pub(super) static $name: Code = Code { id: $id, title: $title, explanation: $explanation };
        )*
        /// Every code of this module.
        pub const CODES: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    SYNTAX "K0201" "dkms.conf does not parse" "bash reads the file command by command: what stands before the error\nstill counts, what stands after it is never run.\nCheck the place with `bash -n dkms.conf`.";
    UNKNOWN_COMMAND "K0202" "a value depends on something that is not known here" "The file asks for a fact of the machine it is read on, such as the output\nof a command or the content of a file. kpkg runs no commands, so the value\nis unknown. Write the value into the file, or give the fact to kpkg.";
    ROUND_TRIP "K0203" "dkms reads another value than bash" "dkms prints every value with an unquoted `echo` and sources the result:\nblanks collapse, `$` and backquotes expand a second time, backslashes\nhalve, and patterns match file names. Write the value so that both are equal.";
    LOST_QUOTE "K0204" "a double quote inside a value" "dkms writes NAME=\"VALUE\" and sources it. A double quote in VALUE ends the\nstring early: quotes vanish, or the directive is lost and the rest of the\nvalue is run as a command. Use single quotes inside the value.";
    LIMIT "K0205" "dkms.conf is too large or does not end" "Evaluation stops at a limit of steps, nesting or size, so that a file with\nan endless loop cannot hang kpkg. dkms itself would hang or crash.";
    NOT_UTF8 "K0206" "bytes that are not UTF-8" "The bytes are replaced by U+FFFD. Save the file as UTF-8.";
    NUL "K0207" "NUL bytes" "bash drops NUL bytes, so that it reads another text than an editor shows.\nRemove them.";
    BOM "K0208" "a byte order mark" "bash takes the mark as part of the first word, so the first line of the\nfile is not an assignment and is lost. Save the file without it.";
    CRLF "K0209" "carriage returns at line ends" "dkms before 3.1.5 keeps the carriage return in every value; later versions\nstrip it from the end of each value only, and `then` followed by a carriage\nreturn is a syntax error for all of them. Convert the file: `sed -i 's/\\r$//'`.";
    UNKNOWN_CONDITION "K0210" "a condition that cannot be decided here" "Both ways are taken as possible. Values that differ between them are unknown.";
    RUNTIME "K0211" "an error that ends the shell" "bash ends a shell that is not interactive on such an error. dkms then sees\nnone of the directives, also none of those before the error.";
    EXIT "K0212" "`exit` in dkms.conf" "dkms reads the file in a subshell and prints the directives at its end.\n`exit` ends the subshell before that, so every directive is lost.";
    WRITES "K0213" "dkms.conf changes files while it is read" "The file is read again for every action and kernel, also without root.\nDo such work in PRE_BUILD. kpkg does not imitate it.";
    UNAME "K0214" "`uname -r` instead of `$kernelver`" "dkms builds for many kernels, most of them not running. `uname -r` gives\nthe one that runs. Use `$kernelver`, which dkms sets.";
    ABSENT_FILE "K0215" "a file that is sourced or run does not exist where dkms looks" "dkms reads the file with another working directory. Use a full path below\n`$dkms_tree/$module/$module_version/source`.";
    NOT_A_COMMAND "K0216" "a word that is run as a command" "The line is not an assignment for bash: a blank before `=`, or a template\nmarker that was not replaced.";
    LOST "K0217" "dkms loses a directive" "bash sets the directive, but dkms does not see it.";
    NOT_MENTIONED "K0218" "software that nobody mentioned is taken as absent" "With kernel, architecture, headers and os-release the machine counts as described. What\nother software would bring, such as `/usr/src/OTHER` or `/etc/OTHER.conf`, is then taken\nas absent. On a machine that has it the value may be another one.";
    NO_NAME "K0301" "no PACKAGE_NAME" "dkms refuses the file: `No 'PACKAGE_NAME' directive specified.`";
    NO_VERSION "K0302" "no PACKAGE_VERSION" "dkms refuses the file: `No 'PACKAGE_VERSION' directive specified.`\nA package needs a real version.";
    PLACEHOLDER "K0303" "a template marker instead of a value" "The file is a template whose marker (`@X@`, `#X#`, `__X`, `X_PLACEHOLDER`, `%X%`, `{{x}}`) was not\nreplaced. Give the value: `--driver-version`, or in kpkg.toml under `[driver]` the keys `name`, `version`,\n`modules = [\"FOLDER/NAME\"]` and `substitute = { \"@X@\" = \"VALUE\" }`. Names of C macros behind `-D` are none.";
    BAD_NAME "K0304" "characters that a name or version cannot have" "The value becomes part of paths and of arguments `NAME/VERSION`, and the name\nof a package. Use letters, digits, `.`, `_`, `+`, `-` and, in versions, `~`, `^` and `:`;\nthe first one is a letter or a digit.";
    NO_MODULE_NAME "K0305" "a module without BUILT_MODULE_NAME" "dkms needs BUILT_MODULE_NAME[i] for every module, unless there is exactly one:\nthen it is PACKAGE_NAME.";
    KO_SUFFIX "K0306" "a module name that ends in .o or .ko" "dkms refuses it; write the name without the suffix.";
    NO_DESTINATION "K0307" "a module without DEST_MODULE_LOCATION" "dkms requires it for every module, although most distributions ignore its value.";
    BAD_DESTINATION "K0308" "DEST_MODULE_LOCATION outside /kernel, /updates, /extra" "dkms refuses any other beginning.";
    BAD_LOCATION "K0309" "BUILT_MODULE_LOCATION leads out of the source tree" "It is a directory relative to the root of the driver; write it without `/` in\nfront and without `..`. dkms does not check it: the build fails, because the\nmodule is not found.";
    BAD_BOOLEAN "K0310" "a switch that is not yes or no" "dkms 3.1.7 and later refuse another AUTOINSTALL, 3.2.0 and later another\nNO_WEAK_MODULES or BUILD_DEPENDS_REBUILD; earlier versions take any text, even\n`no`, for yes. It is an error where the dkms of every target refuses it. Write\n`yes`, or leave the directive out.";
    DUPLICATE "K0311" "two modules of one name" "dkms 3.1.7 and later refuse two modules with one built path or one installed name.\nIt is an error where the dkms of every target refuses it.";
    DEAD "K0312" "a directive that does nothing any more" "Current versions of dkms ignore it, and print a warning. It can go where none of\nthe targets has a dkms that obeys it: CLEAN is run before 3.1.8, REMAKE_INITRD\nand MODULES_CONF count before 2.8.8. Name the targets with `--target`.";
    SPARSE "K0313" "a gap in MAKE or PATCH" "dkms counts the elements and looks at indices below the count, so an element\nbehind a gap is never used. Number the elements without gaps.";
    MAX_PATCH_LEVEL "K0314" "BUILD_EXCLUSIVE_KERNEL_MAX without a patch level" "`6.1` excludes 6.1.0-56-amd64, because the comparison is by text. Write `6.1.99`\nor the like.";
    FOUR_DIGITS "K0315" "a number of four digits in a kernel limit" "dkms pads numbers to three digits and compares text: 3.10.0-1160 sorts before\n3.10.0-957.";
    TYPO "K0316" "a name like a directive that dkms does not know" "dkms ignores unknown names without a word: a misspelled directive, a setting of\n/etc/dkms/framework.conf, or one of another tool. A variable that the file uses\nitself is no such name.";
    GLOBAL_ELEMENT "K0317" "BUILD_EXCLUSIVE_*[0] in a package with several modules" "Element 0 also acts as the rule for the whole package (dkms 3.3.0 to 3.4.3), and\nelements above 0 do nothing in older versions.";
    NO_MODULES "K0318" "no modules" "dkms accepts it since 3.0.11 and builds nothing.";
    BAD_REGEX "K0319" "a regular expression that bash refuses" "bash hands it to the C library, which refuses it; the comparison fails then, and\nbash says nothing. BUILD_EXCLUSIVE_KERNEL or BUILD_EXCLUSIVE_ARCH excludes every\nkernel that way, MAKE_MATCH and PATCH_MATCH match none.";
    TRAVERSAL "K0320" "a path with .. or an absolute path" "dkms 3.1.2 and later refuse `..` in patch names. It is an error where the dkms of\nevery target refuses it, and where the path leaves the source.";
    CONTROL "K0321" "control characters in a value" "A newline or control character in this value would break what is made of it.";
    AUTOINSTALL_NO "K0322" "AUTOINSTALL set to no" "dkms before 3.1.7 takes any text for yes. A file without the directive means no to\nevery version.";
    ODD_DESTINATION "K0323" "DEST_MODULE_LOCATION that dkms takes for its beginning" "dkms compares the first letters with /kernel, /updates and /extra, and nothing\nelse. Most distributions put the module into a folder of their own; where none is\nset, dkms makes the one that is written.";
    ODD_LOCATION "K0324" "BUILT_MODULE_LOCATION with .." "dkms builds in /var/lib/dkms/NAME/VERSION/build and joins the location to it. A\nlocation that comes back into that folder works; one that leads to the source\nbeside it is where a module is only when MAKE builds there.";
    NO_AUTOINSTALL "K0325" "no AUTOINSTALL" "dkms builds a driver for a kernel that is installed later only where its dkms.conf\nsays AUTOINSTALL=\"yes\". Without it the driver is gone after the next update of\nthe kernel, until somebody runs dkms by hand.";
    ENDS "K0326" "a list of kernels that ends" "BUILD_EXCLUSIVE_KERNEL is a regular expression that has to match the release of\nthe kernel. One that lists the series of its day leaves out those that follow,\nand dkms skips them without a word to the user.";
    WEB_PAGE "K0327" "a web page instead of a dkms.conf" "The file begins with HTML: a download got the page of a web server, such as the\nview of the file in a repository or an error, and not the file.";
}
