//! A plan in the words of an engine: a file that a reviewer would accept, and that does no more than call kpkg.

use clap::ValueEnum;
use serde_json::json;

use crate::base::error::{Error, Result};
use crate::build::matrix::{Plan, Shard};

/// Who runs the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// A workflow of GitHub Actions, to commit.
    Github,
    /// A child pipeline of GitLab, which a job makes.
    Gitlab,
    /// Indexed Jobs, for kubectl apply.
    Kubernetes,
    /// A script for sbatch, with an array of jobs.
    Slurm,
    /// A Makefile.
    Make,
    /// A list of shards: name, image, runner.
    Json,
}

/// What an engine can hold (docs.github.com, docs.gitlab.com, the parsed size of a child pipeline).
const GITHUB_JOBS: usize = 256;
const GITLAB_JOBS: usize = 200;
const GITLAB_BYTES: usize = 200_000;

/// What is in each file.
pub(super) struct Surroundings<'a> {
    /// The command that makes the plan, with what the user said.
    pub(super) matrix: String,
    /// A command before each.
    pub(super) setup: Option<&'a str>,
    /// The label of a machine where no other is named.
    pub(super) runner: Option<&'a str>,
}

/// The text for an engine.
pub(super) fn text(plan: &Plan, engine: Engine, with: &Surroundings<'_>) -> Result<String> {
    let setup = with.setup.unwrap_or("kpkg --version");
    if setup.contains('\n') || with.matrix.contains('\n') {
        return Err(Error::usage("what runs before each job is more than one line")
            .hint("write it as one, with `&&`"));
    }
    let count = plan.shards.len();
    let at_most = |limit: usize, who: &str| {
        if count <= limit {
            return Ok(());
        }
        let text = format!("{who} takes {limit} jobs at once, and the plan has {count} shards");
        Err(Error::usage(text).hint(format!("`--shards {limit}` puts more jobs into each")))
    };
    // in a container there are no namespaces to be had
    let has_image = plan.shards.iter().any(|shard| shard.image.is_some());
    let (sandbox, link) = if has_image { (" --no-sandbox", " --link") } else { ("", "") };
    let why = "# The container is the boundary: it gives no namespaces, has no secret, and shares no cache.";
    let quoted = |text: &str| if plain(text) { text.to_owned() } else { json!(text).to_string() };
    Ok(match engine {
        Engine::Json => {
            at_most(GITHUB_JOBS, "a matrix of GitHub")?;
            let of = |shard: &Shard| json!({ "id": shard.id, "image": shard.image, "runner": shard.runner });
            json!(plan.shards.iter().map(of).collect::<Vec<_>>()).to_string() + "\n"
        }
        Engine::Github => {
            at_most(GITHUB_JOBS, "a matrix of GitHub")?;
            let container = format!("    {why}\n    container: ${{{{ matrix.shard.image }}}}\n");
            include_str!("emit/github.yml")
                .replace("@CONTAINER@\n", if has_image { &container } else { "" })
                .replace("@SANDBOX@", sandbox)
                .replace("@LINK@", link)
                .replace("@RUNNER@", with.runner.unwrap_or(include_str!("emit/runner.txt").trim()))
                .replace("@SETUP@", &quoted(setup))
                .replace("@MATRIX@", &with.matrix)
        }
        Engine::Gitlab => {
            at_most(GITLAB_JOBS, "a pipeline of GitLab")?;
            let of = |shard: &Shard| {
                let image = shard
                    .image
                    .as_ref()
                    .map_or_else(String::new, |image| format!("  image: {}\n", quoted(image)));
                let tags = shard
                    .runner
                    .as_ref()
                    .map_or_else(String::new, |tag| format!("  tags: [{}]\n", quoted(tag)));
                format!(
                    "\n{}:\n  extends: .build\n{image}{tags}  variables: {{ SHARD: {} }}\n",
                    quoted(&shard.id),
                    quoted(&shard.id)
                )
            };
            let shards: String = plan.shards.iter().map(of).collect();
            let text = include_str!("emit/gitlab.yml")
                .replace("@WHY@\n", &if has_image { format!("    {why}\n") } else { String::new() })
                .replace("@SANDBOX@", sandbox)
                .replace("@LINK@", link)
                .replace("@SETUP@", &quoted(setup))
                .replace("@MATRIX@", &with.matrix)
                .replace("@SHARDS@\n", &shards);
            if text.len() > GITLAB_BYTES {
                let error = Error::usage(format!(
                    "a child pipeline of {} bytes is more than GitLab reads well",
                    text.len()
                ));
                return Err(error.hint(format!("`--shards {}` puts more jobs into each", count / 2)));
            }
            text
        }
        Engine::Kubernetes => {
            let mut documents = Vec::new();
            let mut first = 0;
            let is_same = |one: &Shard, other: &Shard| (&one.image, &one.arch) == (&other.image, &other.arch);
            for group in plan.shards.chunk_by(is_same) {
                let Some(image) = &group[0].image else {
                    let text =
                        format!("the shard `{}` has no image, and a pod is nothing without", group[0].id);
                    return Err(Error::usage(text)
                        .hint("name them in kpkg.toml: `[ci.images]` and below it `TARGET = \"IMAGE\"`"));
                };
                let name = format!("kpkg-{}", group[0].id.replace('.', "-"));
                documents.push(
                    include_str!("emit/kubernetes.yml")
                        .replace("@NAME@", &name)
                        .replace("@COUNT@", &group.len().to_string())
                        .replace("@FIRST@", &first.to_string())
                        .replace("@IMAGE@", &json!(image).to_string()),
                );
                first += group.len();
            }
            documents.join("---\n")
        }
        Engine::Slurm if count == 0 => return Err(nothing()),
        Engine::Slurm => include_str!("emit/slurm.sh")
            .replace("@LAST@", &(count - 1).to_string())
            .replace("@SETUP@", setup),
        Engine::Make => {
            let names: Vec<_> = plan.shards.iter().map(|shard| shard.id.as_str()).collect();
            include_str!("emit/make.mk").replace("@SHARDS@", &names.join(" "))
        }
    })
}

fn nothing() -> Error {
    Error::usage("the plan has no jobs, and an array of none is no job")
        .hint("there is nothing to do: `--emit json` says `[]`")
}

/// Whether a text means itself in YAML without quotes.
fn plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && text.chars().all(|c| !c.is_control())
}
