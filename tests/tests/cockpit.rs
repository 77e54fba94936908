//! The page as its readers see it: a browser, a live agent, a real storm.
//!
//! Needs root, HAProxy, Chromium and its driver. With `SENTINEL_PICTURES=DIR` a picture of each state is kept there.

use std::{env, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::judge::verdict::Signal;
use sentinel_tests::{
    agent::Options,
    browser::Browser,
    http,
    scene::Scene,
    shop::{SERVICES, Shop},
    wait,
    workload::Workload,
};

const ANY: &str = "127.0.0.1:0";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Issue 6: "a real storm appears on the page within 2 s".
const APPEARS: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(40);

/// Options of an agent with this token.
fn guarded(config: &str) -> Result<Options> {
    let options = Options::new()?;
    let file = options.dir().join("token");
    fs::write(&file, TOKEN)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let config = format!(
        "interval = \"1s\"\nlisten_token_file = \"{}\"\n{config}",
        file.display()
    );
    Ok(options.config(&config).listen(ANY))
}

fn picture(browser: &Browser, name: &str) -> Result<()> {
    match env::var_os("SENTINEL_PICTURES") {
        Some(dir) => browser.picture(&PathBuf::from(dir).join(format!("cockpit-{name}.png"))),
        None => Ok(()),
    }
}

#[test]
fn a_storm_appears_is_approved_by_hand_counts_down_and_recovers() -> Result<()> {
    let services = [&SERVICES[..], &["search", "billing", "reports"]].concat();
    let mut scene = Scene::start(&services, guarded("autonomy = \"approve\"\n")?)?;
    let duty =
        |name: &str, busy: &str| Workload::start(scene.cgroup(name), &["duty", "--seconds", "100", "--percent", busy]);
    let _beside = [duty("search", "8")?, duty("billing", "3")?, duty("reports", "12")?];
    let mut shop = Shop::open_among(&scene.services, &["--rps", "100"], &[])?;
    let browser = Browser::start(1600, 1000, "dark")?;
    let address = scene.agent.address()?;
    browser.open(address)?;
    browser.until(SOON, "return !document.getElementById('door').hidden")?;
    browser.write("#token", "another-token-altogether")?;
    browser.click("#door button")?;
    browser.until(
        SOON,
        "return document.getElementById('door-said').textContent.includes('not the token')",
    )?;
    browser.write("#token", TOKEN)?;
    browser.click("#door button")?;
    browser.until(SOON, "return document.getElementById('link').textContent === 'live'")?;
    scene.warm_up()?;
    browser.until(
        LATER,
        "return document.querySelectorAll('#scopes tr.scope').length >= 6",
    )?;
    thread::sleep(Duration::from_secs(20));
    picture(&browser, "calm")?;

    let onset_ns = shop.lose_backend()?;
    let row = format!("document.getElementById('row-cgroup-{}')", scene.cgroup("shop").id()?);
    let alarmed = format!("return {row}.classList.contains('lv-veto')");
    browser.until(SOON, &alarmed)?;
    let after = wait::since(onset_ns);
    println!("the storm is on the page {after:.2?} after the backend was lost");
    let veto = scene.veto("shop", Signal::Amplification, onset_ns, SOON)?;
    // This and no other: others of this host may storm too.
    let id = &veto.verdict.plan.first().context("nothing is planned")?.id;
    let (plan, lease) = (
        format!("#plan-{id} .ask"),
        format!("document.querySelector('#lease-{id}"),
    );
    browser.until(SOON, &format!("return Boolean(document.querySelector('{plan}'))"))?;
    thread::sleep(Duration::from_secs(2));
    picture(&browser, "storm")?;
    ensure!(
        browser.text("#lamp-amplification")?.contains("veto"),
        "{}",
        browser.text("#lamps")?
    );
    ensure!(
        browser.text("#log")?.contains("waits for approval"),
        "{}",
        browser.text("#log")?
    );

    browser.click(&plan)?;
    browser.click(&plan)?;
    browser.until(SOON, &format!("return Boolean({lease} .left')?.textContent)"))?;
    let left = format!("return Number({lease} .left').textContent.split(' ')[0]) > 0");
    browser.until(SOON, &left)?;
    let width = format!("{lease} .bar').style.width");
    browser.until(
        SOON,
        &format!("window.seen ??= new Set(); window.seen.add({width}); return window.seen.size > 1"),
    )?;
    thread::sleep(Duration::from_secs(2));
    picture(&browser, "lease")?;

    drop(shop);
    browser.until(
        LATER,
        &format!("return !{row}.classList.contains('alarmed') && !{lease}')"),
    )?;
    browser.until(
        SOON,
        "return [...document.querySelectorAll('.incident.ended')].some((each) => each.textContent.includes('shop'))",
    )?;
    thread::sleep(Duration::from_secs(1));
    picture(&browser, "recovered")?;
    scene.bystander_is_nominal()?;
    scene.end()?;
    browser.until(
        SOON,
        "return document.getElementById('link').classList.contains('lost')",
    )?;
    ensure!(after <= APPEARS, "{after:?}");
    Ok(())
}

#[test]
fn a_hostile_name_is_text_on_the_page_and_nothing_comes_from_elsewhere() -> Result<()> {
    let hostile = "<img src=x onerror=document.title='owned'>\u{202e}\u{1b}[2J";
    let scene = Scene::start(&[hostile, "<script>alert(1)<"], Options::new()?.listen(ANY))?;
    let browser = Browser::start(1280, 900, "light")?;
    let address = scene.agent.address()?;
    browser.open(address)?;
    browser.until(
        SOON,
        "return [...document.querySelectorAll('.name')].some((name) => name.textContent.includes('onerror'))",
    )?;
    ensure!(browser.run("return document.querySelectorAll('img, main script').length")? == 0);
    ensure!(browser.run("return document.title.includes('owned')")? == false);
    let shown = browser.text("#scopes")?;
    ensure!(
        shown.contains("\\u{202e}") && shown.contains("\\u{1b}[2J") && shown.contains("<script>alert(1)<"),
        "{shown}"
    );
    ensure!(!shown.contains('\u{202e}') && !shown.contains('\u{1b}'), "{shown}");
    let elsewhere = "return performance.getEntriesByType('resource').filter((each) => !each.name.startsWith(location.origin)).length";
    ensure!(browser.run(elsewhere)? == 0);
    ensure!(browser.run("return document.querySelector('meta[name=color-scheme]') !== null && document.documentElement.dataset.theme")? == "light");
    ensure!(http::state(address)?["schema"] == "sentinel.state/1");
    Ok(())
}

#[test]
fn the_page_is_used_with_the_keyboard_alone() -> Result<()> {
    let scene = Scene::start(&["first", "second"], Options::new()?.listen(ANY))?;
    let browser = Browser::start(1280, 900, "dark")?;
    browser.open(scene.agent.address()?)?;
    browser.until(SOON, "return document.querySelectorAll('#scopes tr.scope').length >= 3")?;
    browser.write("body", "/")?;
    ensure!(browser.run("return document.activeElement.id")? == "filter");
    browser.write("#filter", "second")?;
    browser.until(
        SOON,
        "return document.querySelectorAll('#scopes tr.scope').length === 1",
    )?;
    // Escape, then to the scope and into it.
    browser.write("#filter", "\u{e00c}")?;
    browser.run("document.querySelector('#scopes .name').focus()")?;
    browser.write("#scopes .name", "\u{e007}")?;
    browser.until(
        SOON,
        "return document.querySelector('#scopes .name').getAttribute('aria-expanded') === 'true'",
    )?;
    browser.until(
        SOON,
        "return document.querySelector('.facts').textContent.includes('/second')",
    )?;
    browser.write("body", "p")?;
    ensure!(browser.run("return document.getElementById('pause').getAttribute('aria-pressed')")? == "true");
    browser.write("body", "t")?;
    ensure!(browser.run("return document.documentElement.dataset.theme")? == "light");
    let unnamed = "return [...document.querySelectorAll('button, input, select')].filter((each) => !each.hidden && !(each.textContent || each.title || each.labels?.length)).length";
    ensure!(browser.run(unnamed)? == 0);
    let roles = "return ['verdict', 'link'].every((id) => document.getElementById(id).getAttribute('role') === 'status') && document.getElementById('said').getAttribute('aria-live') === 'polite'";
    ensure!(browser.run(roles)? == true);
    Ok(())
}
