//! Tables: files and what dkms 3.4.3 itself was recorded to read from them for one kernel.
//!
//! Must not touch the disk.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::base::diagnostic::Severity;

const KERNEL: &str = "6.1.0-49-amd64";

fn with_inputs<T>(run: impl FnOnce(&Inputs) -> T) -> T {
    let headers = Files(BTreeMap::from([
        ("Makefile", "VERSION = 6\n"),
        (".config", "CONFIG_DRM=m\nCONFIG_X=y\n"),
        ("include/config/auto.conf", "CONFIG_DRM=m\n"),
    ]));
    let tree = Files(BTreeMap::from([("dkms.conf", ""), ("VERSION", "7.5\n"), ("src/a.c", "")]));
    run(&Inputs {
        kernel: Some(KERNEL.to_owned()),
        arch: Some("x86_64".to_owned()),
        processors: Some(4),
        online_processors: Some(6),
        os_release: Some("ID=debian\nVERSION_ID=\"12\"\n".to_owned()),
        headers: Some(&headers),
        source_tree: Some(&tree),
        conf_dir: Some(String::new()),
        ..Inputs::default()
    })
}

fn run(text: &str) -> Evaluation {
    let (conf, _) = Conf::parse(Path::new("dkms.conf"), text.as_bytes());
    with_inputs(|inputs| evaluate(&conf, inputs))
}

fn flat(evaluation: &Evaluation) -> Vec<String> {
    let elements = evaluation.directives.iter().flat_map(|(name, elements)| {
        elements.iter().map(move |(index, value)| match value {
            Value::Known(text) => format!("{name}[{index}]={text}"),
            Value::Unknown => format!("{name}[{index}] unknown"),
        })
    });
    elements.collect()
}

fn sorted(list: &[&str]) -> Vec<String> {
    let mut list: Vec<String> = list.iter().map(|item| (*item).to_owned()).collect();
    list.sort();
    list
}

/// A name, a file, and what dkms reads.
type Case = (&'static str, &'static str, &'static [&'static str]);

#[test]
fn dkms_reads_the_same() {
    for (name, text, expected) in RECORDED {
        let mut seen = flat(&run(text));
        seen.sort();
        assert_eq!(seen, sorted(expected), "{name}:\n{text}");
    }
}

/// Recorded with dkms 3.4.3 on Debian 12, but for what depends on its bash or on what dkms is asked for.
#[rustfmt::skip]
const RECORDED: &[Case] = &[
    ("arith", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"make -j$(( 2*3 )) $((0x10)) $(( 7/2 ))\"\nCLEAN=\"$[1+1]\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=2", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make -j6 16 3", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("array_append", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME+=(y z)\nDEST_MODULE_LOCATION[${#DEST_MODULE_LOCATION[@]}]=/updates\nMAKE+=\" tail\"\nPACKAGE_VERSION+=-1\n", &["BUILT_MODULE_NAME[0]=x", "BUILT_MODULE_NAME[1]=y", "BUILT_MODULE_NAME[2]=z", "DEST_MODULE_LOCATION[0]=/extra", "DEST_MODULE_LOCATION[1]=/updates", "MAKE[0]= tail", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0-1"]),
    ("array_arith_index", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\ni=0\nfor m in a b c; do BUILT_MODULE_NAME[$i]=$m; DEST_MODULE_LOCATION[i++]=/extra; done\nBUILT_MODULE_NAME[1+4]=q\n", &["BUILT_MODULE_NAME[0]=a", "BUILT_MODULE_NAME[1]=b", "BUILT_MODULE_NAME[2]=c", "BUILT_MODULE_NAME[5]=q", "DEST_MODULE_LOCATION[0]=/extra", "DEST_MODULE_LOCATION[1]=/extra", "DEST_MODULE_LOCATION[2]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("array_literal", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME=(a b \"c d\" [7]=e f)\nDEST_MODULE_LOCATION=(/extra /extra)\n", &["BUILT_MODULE_NAME[0]=a", "BUILT_MODULE_NAME[1]=b", "BUILT_MODULE_NAME[2]=c d", "BUILT_MODULE_NAME[7]=e", "BUILT_MODULE_NAME[8]=f", "DEST_MODULE_LOCATION[0]=/extra", "DEST_MODULE_LOCATION[1]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("array_neg", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME[3]=d\nBUILT_MODULE_NAME[-1]=last\n", &["BUILT_MODULE_NAME[0]=x", "BUILT_MODULE_NAME[3]=last", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("array_octal", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME[08]=bad\nBUILT_MODULE_NAME[010]=eight\nMAKE=after\n", &[]),
    ("assoc", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\ndeclare -A STRIP\nSTRIP[foo]=no\nSTRIP[0]=yes\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "STRIP[0]=no"]),
    ("autoinstall_odd", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nAUTOINSTALL=\"Y\"\nNO_WEAK_MODULES=No\nREMAKE_INITRD=yes\n", &["AUTOINSTALL[0]=Y", "BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "NO_WEAK_MODULES[0]=No", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "REMAKE_INITRD[0]=yes"]),
    ("backslash", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]='make a\\\\b \\x \\$y \\\"'\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make a\\b \\x $y \"", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("bad_subst", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=${kernel ver}\nCLEAN=after\n", &[]),
    ("bash_source", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"$(dirname ${BASH_SOURCE[0]})\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=/var/lib/dkms/x/1.0/source", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("bg_job", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nsleep 0.1 &\nMAKE=a\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("bom", "\u{FEFF}PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_VERSION[0]=1.0"]),
    ("brace", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME=(a{1,2} b{3..5})\nMAKE={a,b}\n", &["BUILT_MODULE_NAME[0]=a1", "BUILT_MODULE_NAME[1]=a2", "BUILT_MODULE_NAME[2]=b3", "BUILT_MODULE_NAME[3]=b4", "BUILT_MODULE_NAME[4]=b5", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]={a,b}", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("case_kernel", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\ncase \"$kernelver\" in 3.*|*.el7*) MAKE=old;; *.el9*) MAKE=el9;; *-amd64) MAKE=deb;; *) MAKE=other;; esac\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=deb", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("cmd_not_found", "PACKAGE_NAME =\"x\"\nPACKAGE_VERSION= \"1\"\nPACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("comments_only", "# nothing\n", &[]),
    ("continuation", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make \\\n   a \\\n b\"\nCLEAN=a\\\nb\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=ab", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make a b", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("crlf", "PACKAGE_NAME=\"x\"\r\nPACKAGE_VERSION=\"1.0\"\r\nBUILT_MODULE_NAME[0]=\"x\"\r\nDEST_MODULE_LOCATION[0]=\"/extra\"\r\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("crlf_continuation", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make \\\r\n all\"\r\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make \\\r all", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("crlf_if", "PACKAGE_NAME=\"x\"\r\nPACKAGE_VERSION=\"1.0\"\r\nBUILT_MODULE_NAME[0]=\"x\"\r\nDEST_MODULE_LOCATION[0]=\"/extra\"\r\nif [ 1 = 1 ]; then\r\nMAKE=\"a\"\r\nfi\r\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("crlf_unquoted", "PACKAGE_NAME=x\r\nPACKAGE_VERSION=1\r\nAUTOINSTALL=yes\r\nBUILD_EXCLUSIVE_KERNEL=^6\r\n", &["AUTOINSTALL[0]=yes", "BUILD_EXCLUSIVE_KERNEL[0]=^6", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1"]),
    ("dash_name", "PACKAGE-NAME=x\nPACKAGE_VERSION=1\n", &["PACKAGE_VERSION[0]=1"]),
    ("declare_local", "local PACKAGE_NAME=x\ndeclare PACKAGE_VERSION=2\nexport BUILT_MODULE_NAME=x\nreadonly CLEAN=c\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=c", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=2"]),
    ("directive", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nDKMS_DIRECTIVE=\"CLEAN=fromdir\"\nDKMS_DIRECTIVE_2=\"MAKE=fromdir2\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=fromdir", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=fromdir2", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("dkms_func", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"$(VER $kernelver)\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=006.001.000-049-amd064", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("dollar_sq", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=$'a\\tb\\x41\\n'\nCLEAN=$\"loc\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=loc", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a bA ", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("double_cmdsub", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]='make $(echo hi) `echo ho`'\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make hi ho", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("double_expand", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]='make K=${kernelver} D=$dkms_tree N=$nosuch'\nCLEAN=\"make \\$kernelver\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=make 6.1.0-49-amd64", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make K=6.1.0-49-amd64 D=/var/lib/dkms N=", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("dup_names", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME[1]=x\nDEST_MODULE_LOCATION[1]=/extra\n", &["BUILT_MODULE_NAME[0]=x", "BUILT_MODULE_NAME[1]=x", "DEST_MODULE_LOCATION[0]=/extra", "DEST_MODULE_LOCATION[1]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("empty", "", &[]),
    ("empty_values", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\nCLEAN=\"\"\nPATCH[0]=\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "PATCH[0]="]),
    ("excl", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILD_EXCLUSIVE_KERNEL=\"^(5|6)\\.\"\nBUILD_EXCLUSIVE_ARCH=\"x86_64|aarch64\"\nBUILD_EXCLUSIVE_CONFIG=\"CONFIG_DRM !CONFIG_FOO\"\nBUILD_EXCLUSIVE_KERNEL_MIN=5.0\nBUILD_EXCLUSIVE_KERNEL_MAX=6.5\n", &["BUILD_EXCLUSIVE_ARCH[0]=x86_64|aarch64", "BUILD_EXCLUSIVE_CONFIG[0]=CONFIG_DRM !CONFIG_FOO", "BUILD_EXCLUSIVE_KERNEL[0]=^(5|6)\\.", "BUILD_EXCLUSIVE_KERNEL_MAX[0]=6.5", "BUILD_EXCLUSIVE_KERNEL_MIN[0]=5.0", "BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("excl_permod", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME[1]=y\nDEST_MODULE_LOCATION[1]=/extra\nBUILD_EXCLUSIVE_KERNEL_MIN[1]=6.0\n", &["BUILD_EXCLUSIVE_KERNEL_MIN[1]=6.0", "BUILT_MODULE_NAME[0]=x", "BUILT_MODULE_NAME[1]=y", "DEST_MODULE_LOCATION[0]=/extra", "DEST_MODULE_LOCATION[1]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("exec_redirect", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nexec >/dev/null\nMAKE=a\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("exit_mid", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"a\"\nexit 0\nCLEAN=\"b\"\n", &[]),
    ("extglob_case", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\ncase $kernelver in @(3|5).*) MAKE=a;; !(x)) MAKE=b;; esac\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=b", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("failglob", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nshopt -s failglob\nMAKE[0]=\"make a*zz b\"\nCLEAN=c\n", &[]),
    ("func", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nadd() { BUILT_MODULE_NAME[$1]=$2; local MAKE=hidden; CLEAN=seen; }\nadd 1 one\nadd 2 two\n", &["BUILT_MODULE_NAME[0]=x", "BUILT_MODULE_NAME[1]=one", "BUILT_MODULE_NAME[2]=two", "CLEAN[0]=seen", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("hash_in_value", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=make#x # c\nCLEAN=\"a # b\"\nPOST_ADD=a #b\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=a # b", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make#x", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "POST_ADD[0]=a"]),
    ("heredoc", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=$(cat <<EOF\na $kernelver\nEOF\n)\nread -r CLEAN <<< \"c d\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=c d", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a 6.1.0-49-amd64", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("if_ver", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nv=${kernelver%%-*}; IFS=. read -r a b c <<< \"$v\"\nif [ \"$a\" -gt 5 ] || { [ \"$a\" -eq 5 ] && [ \"$b\" -ge 14 ]; }; then MAKE=new; else MAKE=old; fi\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=new", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("ifs", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nIFS=:\nMAKE=\"a:b c\"\nCLEAN=\"x  y\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=x  y", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a b c", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("ifs_inner", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nIFS=\"_\"\nMAKE[0]=\"a_b\"\n", &["MAKE[0]=a b"]),
    ("indirect", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nv=kernelver\nMAKE=\"${!v}\"\nCLEAN=\"${!BUILT_MODULE_NAME[@]} ${#BUILT_MODULE_NAME[@]} ${BUILT_MODULE_NAME[*]}\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=0 1 x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=6.1.0-49-amd64", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("inner_dq", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make EXTRA=\\\"a b\\\" c\"\nCLEAN=\"make CC=\\\"gcc\\\"\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=make CC=gcc", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("inner_dq_arith", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nPRE_BUILD=\"configure --with-qat=\\\"\\\" x\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "PRE_BUILD[0]=configure --with-qat= x"]),
    ("kconfig", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nif grep -q ^CONFIG_DRM=m \"$kernel_source_dir/.config\" 2>/dev/null; then MAKE=drm; fi\nif [ -f $kernel_source_dir/Makefile ]; then CLEAN=have; fi\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=have", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=drm", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("ko_suffix", "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=x.ko\nDEST_MODULE_LOCATION[0]=/lib/x\n", &["BUILT_MODULE_NAME[0]=x.ko", "DEST_MODULE_LOCATION[0]=/lib/x", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1"]),
    ("lineno_vars", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"$LINENO ${FUNCNAME[0]} ${BASH_VERSION%%.*}\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0] unknown", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("loop_inf", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nwhile :; do :; done\n", &[]),
    ("lower", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nbuilt_module_name[0]=zz\nstrip[0]=no\npatch_array[0]=p\nbuild_exclude=yes\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "build_exclude[0]=yes", "built_module_name[0]=zz", "patch_array[0]=p", "strip[0]=no"]),
    ("make_match", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[1]=\"make old\"\nMAKE_MATCH[1]=\"^3\\.\"\nMAKE[2]=\"make deb\"\nMAKE_MATCH[2]=\"amd64$\"\nMAKE[0]=\"make def\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make def", "MAKE[1]=make old", "MAKE[2]=make deb", "MAKE_MATCH[1]=^3\\.", "MAKE_MATCH[2]=amd64$", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("module_vars", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"make -C ${source_tree}/${module}-${module_version} ${dkms_tree}/$PACKAGE_NAME/$PACKAGE_VERSION/build $kernel_source_dir $kernel_config\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make -C /usr/src/x-1.0 /var/lib/dkms/x/1.0/build /lib/modules/6.1.0-49-amd64/build /lib/modules/6.1.0-49-amd64/build/include/config/auto.conf", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("noglob", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nset -f\nMAKE[0]=\"make /us*\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make /us*", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("nul", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"a\0b\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=ab", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("nullglob", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nshopt -s nullglob\nMAKE[0]=\"make a*zz b\"\n", &[]),
    ("only_location", "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nDEST_MODULE_LOCATION[0]=/kernel/drivers\n", &["DEST_MODULE_LOCATION[0]=/kernel/drivers", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1"]),
    ("patch_match", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nPATCH[0]=a.patch\nPATCH[1]=b.patch\nPATCH_MATCH[1]=\"^3\\.|^5\\.14\"\nPATCH[2]=c.patch\nPATCH_MATCH[2]=\"fc4[0-9]\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "PATCH[0]=a.patch", "PATCH[1]=b.patch", "PATCH[2]=c.patch", "PATCH_MATCH[1]=^3\\.|^5\\.14", "PATCH_MATCH[2]=fc4[0-9]"]),
    ("path_change", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nPATH=/x\nMAKE=\"$(uname -r)\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("readonly_fail", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nreadonly CLEAN=a\nCLEAN=b\nMAKE=after\n", &[]),
    ("redefine_echo", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\necho() { builtin echo hacked; }\nMAKE=a\n", &[]),
    ("regex", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nif [[ $kernelver =~ ^([0-9]+)\\.([0-9]+) ]]; then MAKE=\"maj=${BASH_REMATCH[1]} min=${BASH_REMATCH[2]}\"; fi\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=maj=6 min=1", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("return_mid", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"a\"\nreturn 0\nCLEAN=\"b\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("scalar_as_array", "PACKAGE_NAME[0]=x\nPACKAGE_VERSION[0]=1\nPACKAGE_NAME[1]=y\nAUTOINSTALL[0]=yes\nCLEAN[1]=c\nBUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra\nMAKE=m\n", &["AUTOINSTALL[0]=yes", "BUILT_MODULE_NAME[0]=x", "CLEAN[1]=c", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=m", "PACKAGE_NAME[0]=x", "PACKAGE_NAME[1]=y", "PACKAGE_VERSION[0]=1"]),
    ("semicolon", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make a; make b && c | d > /dev/null\"; CLEAN=x\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make a; make b && c | d > /dev/null", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("set_e", "set -e\nPACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nfalse\nMAKE[0]=\"a\"\n", &["BUILT_MODULE_NAME[0] unknown", "DEST_MODULE_LOCATION[0] unknown", "MAKE[0] unknown", "PACKAGE_NAME[0] unknown", "PACKAGE_VERSION[0] unknown"]),
    ("set_u", "set -u\nPACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"$nosuch\"\nCLEAN=\"b\"\n", &[]),
    ("single_make", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"'make' -j$(nproc) KVER=$kernelver\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]='make' -j4 KVER=6.1.0-49-amd64", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("source_rel", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\n. ./VERSION\n. \"$source_tree/x-1.0/VERSION\"\nMAKE=a\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("sparse", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nBUILT_MODULE_NAME[2]=c\nDEST_MODULE_LOCATION[2]=/extra\n", &["BUILT_MODULE_NAME[0]=x", "BUILT_MODULE_NAME[2]=c", "DEST_MODULE_LOCATION[0]=/extra", "DEST_MODULE_LOCATION[2]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("stdout_noise", "echo noise\nPACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nprintf \"%s\" x\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("subst_forms", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"${kernelver%%-*} ${kernelver#*.} ${kernelver/./_} ${kernelver//./_} ${kernelver:0:3} ${#kernelver} ${nosuch:-def} ${arch^^} ${arch:+set}\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=6.1.0 1.0-49-amd64 6_1.0-49-amd64 6_1_0-49-amd64 6.1 14 def X86_64 set", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("syntax_mid", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"a\"\nfi\nCLEAN=\"b\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("tilde", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=~/x\nCLEAN=\"~/x\"\nPOST_ADD=a:~/b\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=~/x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=/root/x", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "POST_ADD[0]=a:/root/b"]),
    ("trailing_backslash", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make a\"\nCLEAN=b\\", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("trap_exit", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\ntrap \"echo trapped\" EXIT\nMAKE=a\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=a", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("uname", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=\"$(uname -r) `uname -m`\"\nif [ \"$(uname -r)\" = \"$kernelver\" ]; then CLEAN=same; fi\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]=same", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=6.1.0-49-amd64 x86_64", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("unbalanced_dq", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make\nCLEAN=\"x\"\nAUTOINSTALL=\"yes\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("unbalanced_last", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nAUTOINSTALL=\"yes\"\nMAKE[0]=\"make\n", &["AUTOINSTALL[0]=yes", "BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("unbalanced_sq", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]='make\nAUTOINSTALL=yes\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("unclosed_if", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nif true; then\nMAKE[0]=\"a\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("unquoted_glob_assign", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=/us*\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=/us*", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("unset_it", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE=a\nunset MAKE\nunset BUILT_MODULE_NAME[0]\n", &["DEST_MODULE_LOCATION[0]=/extra", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("utf8", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make Größe=✓\"\n", &["BUILT_MODULE_NAME[0]=x", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make Größe=✓", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0"]),
    ("ws_collapse", "PACKAGE_NAME=\"x\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"x\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nMAKE[0]=\"make   a\tb    c  \"\nCLEAN=\"  lead\"\nPOST_ADD=\"l1\n  l2\n\"\n", &["BUILT_MODULE_NAME[0]=x", "CLEAN[0]= lead", "DEST_MODULE_LOCATION[0]=/extra", "MAKE[0]=make a b c ", "PACKAGE_NAME[0]=x", "PACKAGE_VERSION[0]=1.0", "POST_ADD[0]=l1 l2 "]),
];

const HEAD: &str = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra\n";

#[test]
fn what_is_not_known_taints_only_what_depends_on_it() {
    for (text, expected) in [
        ("A=$(foo)\nMAKE=\"a $A\"\nCLEAN=c", vec!["CLEAN[0]=c", "MAKE[0] unknown"]),
        ("if foo; then MAKE=a; CLEAN=c; else MAKE=b; CLEAN=c; fi", vec!["CLEAN[0]=c", "MAKE[0] unknown"]),
        ("MAKE=a\nfoo && MAKE=b\nfoo || CLEAN=c", vec!["CLEAN[0] unknown", "MAKE[0] unknown"]),
        ("for i in $(foo); do MAKE=$i; done\nCLEAN=c", vec!["CLEAN[0]=c", "MAKE[0] unknown"]),
        ("while foo; do STRIP+=(no); done", vec!["STRIP[0] unknown"]),
        ("case $(foo) in a) MAKE=1;; *) MAKE=1;; esac", vec!["MAKE[0]=1"]),
        ("f() { foo && return; MAKE=b; }\nMAKE=a\nf", vec!["MAKE[0] unknown"]),
        ("[ -z \"$(foo)x\" ] && MAKE=a", vec![]),
        ("dpkg -l | grep libtoy-dev | grep -q ^ii && MAKE=a || MAKE=b", vec!["MAKE[0]=b"]),
        ("dpkg -l | grep -q linux-image && MAKE=a || MAKE=b", vec!["MAKE[0] unknown"]),
        ("MAKE=\"$(dpkg -l | grep linux-image)\"", vec!["MAKE[0] unknown"]),
        ("MAKE=$(dpkg -l | awk '{print $2}')", vec!["MAKE[0] unknown"]),
        // a value that ended in the middle of a quote, before it was no longer known
        (
            "CLEAN=c\nPATCH='\"'\nPATCH[$(foo)]=x",
            vec!["CLEAN[0] unknown", "MAKE[0] unknown", "STRIP[0] unknown"],
        ),
        // the command that reads the file fails with it
        ("CLEAN=c\nset -e\nreturn 2", vec!["CLEAN[0] unknown", "MAKE[0] unknown", "STRIP[0] unknown"]),
        ("CLEAN=c\nset -e\nreturn 0", vec!["CLEAN[0]=c"]),
        // what is printed of a variable is no expression, and ends the shell where one is wanted; an output may well be a number
        (
            "list=(a); x=$(declare -p list)\nCLEAN=${list:x:1}",
            vec!["CLEAN[0] unknown", "MAKE[0] unknown", "STRIP[0] unknown"],
        ),
        ("x=$(foo)\nCLEAN=c\nMAKE=$((x + 1))", vec!["CLEAN[0]=c", "MAKE[0] unknown"]),
        (
            "MAKE=a\n[[ $(foo) =~ x ]] && MAKE=${BASH_REMATCH[0]}\nCLEAN=c",
            vec!["CLEAN[0]=c", "MAKE[0] unknown"],
        ),
    ] {
        let mut seen = flat(&run(&format!("{HEAD}{text}\n")));
        seen.retain(|item| ["MAKE[", "CLEAN", "STRIP"].iter().any(|name| item.starts_with(name)));
        assert_eq!(seen, expected, "{text}");
    }
}

#[test]
fn what_is_said_about_a_file_goes_by_the_name_it_is_shown_under() {
    use crate::base::diagnostic::Edit;
    let file = super::ConfFile::new("/tmp/unpacked/dkms.conf".into(), b"PACKAGE_NAME=a\r\nif\r\n".to_vec());
    let shown = file.shown_as(Path::new("a.tar:dkms.conf"));
    assert!(shown.findings.iter().any(|finding| finding.fix.is_some()), "{:?}", shown.findings);
    for finding in &shown.findings {
        let fix = match &finding.fix {
            Some(Edit::Replace { place, .. }) => Some(place),
            _ => None,
        };
        for place in finding.place.iter().chain(fix) {
            assert_eq!(place.source.path, Path::new("a.tar:dkms.conf"));
        }
    }
}

#[test]
fn commands_are_answered_from_the_facts() {
    for (command, expected) in [
        ("nproc", "4"),
        ("getconf _NPROCESSORS_ONLN", "6"),
        ("uname -rm", "6.1.0-49-amd64 x86_64"),
        ("grep -c CONFIG $kernel_source_dir/.config", "2"),
        ("sed -n 's/^CONFIG_\\(X\\)=\\(.\\)/\\2\\1/p' $kernel_source_dir/.config", "yX"),
        ("echo $kernelver | cut -d. -f1-2", "6.1"),
        ("echo a-b | tr a-z A-Z | tr -d -", "AB"),
        ("printf '%s\\n' 1.10 1.9 | sort -V | head -n1", "1.9"),
        ("cat $(dirname $BASH_SOURCE)/VERSION", "7.5"),
        // where dkms knows the driver only after it read the file once
        ("cat /usr/src/x-1/VERSION", "7.5"),
        ("ls /var/lib/dkms/x/1/source/src", "a.c"),
        ("awk -F= '/DRM/ {print $2}' /lib/modules/$kernelver/build/.config", "m"),
        ("basename /a/b.ko .ko", "b"),
        ("expr 6.1 : '\\([0-9]*\\)'", "6"),
        ("wc -l < $kernel_source_dir/.config", "2"),
        ("VER 6.1.2-3", "006.001.002-003"),
        ("lsb_release -rs", "12"),
        ("seq 3 | tail -1", "3"),
    ] {
        let evaluation = run(&format!("{HEAD}MAKE[0]=\"$({command})\"\n"));
        assert_eq!(evaluation.directives["MAKE"][&0], Value::Known(expected.to_owned()), "{command}");
    }
}

#[test]
fn hostile_files_end_in_time() {
    let deep = |open: &str, close: &str| format!("x={}a{}\n", open.repeat(4000), close.repeat(4000));
    for text in [
        "while :; do :; done\n".to_owned(),
        "f() { f; }; f\n".to_owned(),
        "x=a; while :; do x=$x$x; done\n".to_owned(),
        "echo {1..9999}{1..9999}{1..9999}\n".to_owned(),
        "MAKE[9223372036854775807]=x\nMAKE[-9223372036854775808]=x\n".to_owned(),
        "x=$((-9223372036854775808 / -1)) y=$((1 << 99)) z=$((2**63))\n".to_owned(),
        "echo {1..99999999999999999999} 99999999999999999999>x ~99999999999999999999\n".to_owned(),
        "n=$(( (1 << 3=$(( (1 << 3=$(( (1 << 3) ** 2 % 7 ? 0x1f : 8#17 )0x1f : 8#17 )0x1f : 8#17 )0x1f : 8#17 )0x$0f : \
         8#17 )0x1f :17 )0x1f : 8#17 )); (( n++, n += 2 )); let m=n*2; x[n=3]=1; y=$((x[3]--))\n"
            .to_owned(),
        "x=a; for i in {1..20}; do x=$x$x; done; y=${x//a/$x}; z=$(echo \"$x\" | sed \"s/a/$x/g\")\n".to_owned(),
        "x=a; for i in {1..20}; do x=$x$x; done; for i in {1..300}; do b+=(\"$x\"); done; y=\"${b[*]}\"\n".to_owned(),
        "i='a[i]'; x=$((i))\n".to_owned(),
        "i='a[i]=1'; x=$((i+1))\n".to_owned(),
        // what stands in the subscript doubles each time, and is an expression
        "while :; do N[$i]=m$i; ".to_owned() + &"i=N[$i]=m$i; ".repeat(14) + "i=$((i+1)); done\n",
        "if foo; then\n".repeat(35) + &"fi\n".repeat(35),
        deep("(", ")"),
        deep("${a:-", "}"),
        deep("$(", ")"),
        deep("\"${a:-", "}\""),
        deep("$((", "))"),
        // what the parser tries twice, and what only seems to be closed
        "((x\n".repeat(16),
        "(".repeat(39),
        "( ".repeat(39),
        "( ".repeat(8) + &"x\n".repeat(2000),
        "case x in a) ".repeat(30),
        "( case x in b) ;; c) ;; (d) ".repeat(20),
        "if x; then ".repeat(10) + &"x\n".repeat(2000),
        "$( ')' ".repeat(100_000),
        "{ '}'; ".repeat(100_000),
        "${a:-'}' ".repeat(100_000),
        "if : fi \n".repeat(100_000),
    ] {
        let start = std::time::Instant::now();
        let (conf, _) = Conf::parse(Path::new("dkms.conf"), text.as_bytes());
        let evaluation = with_inputs(|inputs| evaluate(&conf, inputs));
        let _ = facts(&conf, &evaluation);
        // Far below this in practice; unoptimised builds on busy machines are slow.
        assert!(start.elapsed().as_secs() < 20, "{}", &text[..text.len().min(60)]);
    }
}

fn findings(text: &str) -> Vec<(&'static str, Severity, usize)> {
    let (conf, mut all) = Conf::parse(Path::new("dkms.conf"), text.as_bytes());
    let evaluation = with_inputs(|inputs| evaluate(&conf, inputs));
    let (_, more) = facts(&conf, &evaluation);
    all.extend(evaluation.diagnostics);
    all.extend(more);
    all.into_iter()
        .map(|finding| {
            (finding.code.id, finding.severity, finding.place.map_or(0, |place| place.line_column().0))
        })
        .collect()
}

#[test]
fn rules_find_their_mistake_and_its_line() {
    use Severity::{Error, Note, Warning};
    assert_eq!(findings(HEAD), [("K0325", Warning, 1)]);
    assert_eq!(findings(&format!("{HEAD}AUTOINSTALL=yes\n")), []);
    for (line, id, severity) in [
        ("PACKAGE_NAME=a/b", "K0304", Error),
        ("PACKAGE_VERSION=@V@", "K0303", Error),
        ("PACKAGE_VERSION='#MODULE_VERSION#'", "K0303", Error),
        ("PACKAGE_VERSION=", "K0302", Error),
        ("PACKAGE_VERSION='1;x'", "K0304", Error),
        ("BUILT_MODULE_NAME=x.ko", "K0306", Error),
        ("BUILT_MODULE_LOCATION=../x", "K0309", Error),
        ("DEST_MODULE_LOCATION=/lib", "K0308", Error),
        ("DEST_MODULE_LOCATION[1]=/extra", "K0305", Error),
        ("BUILT_MODULE_NAME[1]=y", "K0307", Error),
        ("AUTOINSTALL=Y", "K0310", Warning),
        ("AUTOINSTALL=no", "K0322", Warning),
        ("CLEAN='make clean'", "K0312", Note),
        ("REMAKE_INITRD=yes", "K0312", Note),
        ("SIGN_TOOL=x", "K0312", Note),
        ("MAKE[2]=make", "K0313", Warning),
        ("BUILD_EXCLUSIVE_KERNEL_MAX=6.1", "K0314", Warning),
        ("BUILD_EXCLUSIVE_KERNEL_MIN=3.10.0-1160", "K0315", Warning),
        ("BUILD_EXCLUSIVE_KERNAL=^6", "K0316", Warning),
        ("PATCH=../x", "K0320", Warning),
        ("PATCH=../../x", "K0320", Error),
        ("BUILT_MODULE_LOCATION=../source/x", "K0324", Warning),
        ("BUILT_MODULE_LOCATION=../build/x", "K0324", Note),
        ("DEST_MODULE_LOCATION=/kernel/../updates", "K0323", Note),
        ("DEST_MODULE_LOCATION=/extra/../../../x", "K0323", Warning),
        ("BUILD_EXCLUSIVE_KERNEL='[9-0]'", "K0319", Warning),
        ("BUILD_EXCLUSIVE_KERNEL='^(5|6)[.]'", "K0326", Note),
        ("MAKE='a \"b c\" d'", "K0204", Error),
        ("MAKE=$(uname -r)", "K0214", Warning),
        ("MAKE=a\r", "K0209", Warning),
        ("fi", "K0201", Error),
        ("f() { echo $(fi); }", "K0201", Error),
        ("MAKE=$(foo)", "K0202", Note),
        (". ./no-such-file", "K0215", Warning),
    ] {
        let found = findings(&format!("{HEAD}{line}\n"));
        let hit = found.iter().any(|(i, s, at)| *i == id && *s == severity && *at == 5);
        assert!(hit, "{line}: {found:?}");
    }
}

#[test]
fn facts_are_typed() {
    let text = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=x\nDEST_MODULE_LOCATION[0]=/extra\n\
        BUILT_MODULE_NAME[1]=y\nBUILT_MODULE_LOCATION[1]=sub/\nDEST_MODULE_LOCATION[1]=/extra\nSTRIP[1]=no\n\
        MAKE=make\nMAKE[1]=old\nMAKE_MATCH[1]=^3\nPRE_BUILD=\"configure --x $(foo)\"\nAUTOINSTALL=yes\n\
        BUILD_EXCLUSIVE_KERNEL_MIN[1]=6.0\nBUILD_DEPENDS=z\n";
    let (conf, _) = Conf::parse(Path::new("dkms.conf"), text.as_bytes());
    let evaluation = with_inputs(|inputs| evaluate(&conf, inputs));
    let (facts, _) = facts(&conf, &evaluation);
    assert_eq!(facts.name.known().map(String::as_str), Some("x"));
    assert_eq!(facts.modules.len(), 2);
    assert_eq!(facts.modules[1].location, Fact::Known("sub".to_owned()));
    assert_eq!((&facts.modules[0].strip, &facts.modules[1].strip), (&Fact::Known(true), &Fact::Known(false)));
    assert_eq!(facts.make[1].matches, Fact::Known("^3".to_owned()));
    assert_eq!(facts.hooks[0].command, Fact::Unknown);
    assert_eq!(facts.hooks[0].script, Fact::Known("configure".to_owned()));
    assert_eq!(facts.build_depends, [Fact::Known("z".to_owned())]);
    assert!(facts.per_module_exclusive && facts.exclusive.is_empty());
    let wrong: Vec<_> =
        facts.minimum_dkms.iter().filter(|need| need.wrong_module).map(|need| need.version).collect();
    assert_eq!(wrong, ["3.3.0"]);
}

#[test]
fn an_older_dkms_loses_newer_directives() {
    let (conf, _) = Conf::parse(
        Path::new("dkms.conf"),
        b"BUILD_EXCLUSIVE_KERNEL_MIN=5.4\nBUILD_DEPENDS_REBUILD=yes\nBUILD_EXCLUSIVE_CONFIG=CONFIG_X\n",
    );
    let seen = |version: &str| {
        let inputs = Inputs { dkms_version: Some(version.to_owned()), ..Inputs::default() };
        evaluate(&conf, &inputs).directives.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(seen("3.0.10"), ["BUILD_EXCLUSIVE_CONFIG"]);
    assert_eq!(seen("3.0.11"), ["BUILD_EXCLUSIVE_CONFIG", "BUILD_EXCLUSIVE_KERNEL_MIN"]);
    assert_eq!(seen("3.2.0").len(), 3);
}

#[test]
fn paths_of_a_tree_stay_inside() {
    assert_eq!(tree_path("a/b/../c//./d").as_deref(), Some("a/c/d"));
    assert_eq!(tree_path("/a").as_deref(), Some("a"));
    assert_eq!(tree_path("a/../.."), None);
}

/// A file of nothing but assignments, as a kernel's configuration is, is not parsed: with a command in it, which changes nothing, it
/// is, and both have to come to the same.
#[test]
fn sourced_assignments_are_the_same_without_the_parser() {
    let assignments = "# a comment\n\nCONFIG_X=y\nCONFIG_TEXT=\"two words ~ * ; # (x)\"\nCONFIG_EMPTY=\nPACKAGE_NAME=toy\nCONFIG_N=0x10\n\
                       A=1\nB=2\nC=3\nD=4\nMAKE=\"make it's\"\nPACKAGE_VERSION=1.0\nLOCKED=2\nAFTER=yes\n";
    let odd = [
        "",
        "E=$A\n",
        "E=~\n",
        "E=a b\n",
        "E='q'\n",
        "E=x\r\n",
        "3=x\n",
        "A+=1\n",
        "N=1+1\n",
        "E=\"a\\\"b\"\n",
    ];
    for extra in odd {
        for before in ["", "set -e\n", "readonly LOCKED=1\n", "declare -i N\n", "declare -A A\n", "set -a\n"]
        {
            let text = format!("{extra}{assignments}{extra}");
            let conf = |text: &str| {
                let tail =
                    "DEST_MODULE_LOCATION[0]=/extra\nCLEAN=\"$CONFIG_TEXT|$A|$LOCKED|$AFTER|$E|$N|$?\"\n";
                let text = text.replace('\'', "'\\''");
                format!("{before}eval '{text}'\n{tail}")
            };
            let (plain, parsed) = (run(&conf(&text)), run(&conf(&format!("{text}:\n"))));
            // the last command's status is that of the assignment or of the command
            assert_eq!(flat(&plain), flat(&parsed), "{before}{extra}");
        }
    }
}
