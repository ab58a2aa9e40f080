// Drives Chromium for the tests in Go. It reads commands from standard input and writes an answer
// to standard output for each, one JSON value a line. It ends with its standard input.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const settings = JSON.parse(process.argv[2]);
const maxTabs = 400; // no screen of the tests has so many stops
const patience = 60_000; // for one command, in milliseconds

let context, page, look;
let shadow; // the page without its script, for axe-core
let complaints = []; // what the browser complained about since the last report

// launch starts the browser. A profile holds a certificate store of the browser's own.
async function launch() {
  const options = { executablePath: settings.executable, args: settings.arguments, chromiumSandbox: false, env: { ...process.env, ...settings.environment } };
  if (settings.profile) {
    context = await chromium.launchPersistentContext(settings.profile, options);
    return { newContext: async () => context, close: () => context.close() };
  }
  return chromium.launch(options);
}

function watch(page) {
  page.on("console", (message) => complaints.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`script error: ${error.message}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  // Playwright tells the browser to hand over its file choosers when it has the first listener, and
  // does not wait: with this one it has done so long before choose presses Enter.
  page.on("filechooser", () => {});
}

// find returns the locator of an element by its role and its accessible name.
function find({ role, name }) {
  if (role === "label") return page.getByLabel(name, { exact: true }); // ARIA has no role for a field for files
  return page.getByRole(role, { name, exact: true });
}

// copy opens the page as it is without its script, in a context where axe-core runs.
async function copy() {
  if (!shadow) {
    const context = await browser.newContext({ ...contextOptions(look), javaScriptEnabled: true });
    context.setDefaultTimeout(patience);
    shadow = await context.newPage();
    await shadow.route("**/*.js", (route) => route.fulfill({ contentType: "text/javascript", body: "" }));
  }
  await shadow.goto(page.url());
  return shadow;
}

function isFocused(element) {
  return element === element.ownerDocument.activeElement;
}

// overflow lists the elements that make the page wider than its window.
function overflow() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 0.5 && !e.closest(".scroll"));
  return wide.slice(0, 5).map((e) => `wider than ${width} px: ${e.outerHTML.slice(0, 200)}`);
}

function contextOptions(view) {
  return {
    ignoreHTTPSErrors: settings.ignoreHTTPSErrors,
    clientCertificates: settings.certificate ? [{ origin: settings.origin, certPath: settings.certificate, keyPath: settings.key }] : undefined,
    colorScheme: view.dark ? "dark" : "light",
    forcedColors: view.forcedColors ? "active" : "none",
    javaScriptEnabled: !view.withoutScript,
    viewport: { width: view.width || 1280, height: view.height || 800 },
    reducedMotion: "reduce",
    timezoneId: "UTC",
  };
}

// bounded rejects if an answer takes too long.
async function bounded(answer) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`no answer within ${patience / 1000} s`)), patience)));
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

const commands = {
  // open begins a new page with the settings of a person: colours, width, with or without script.
  async open({ view }) {
    if (!settings.profile) await context?.close();
    await shadow?.context().close();
    shadow = undefined;
    context = await browser.newContext(contextOptions(view));
    look = view;
    context.setDefaultTimeout(patience);
    page = await context.newPage();
    complaints = [];
    watch(page);
  },
  // goto answers the status of the page.
  async goto({ path }) {
    const response = await page.goto(settings.origin + path, { waitUntil: "load" });
    return response.status();
  },
  // complaints answers what the browser complained about since the last call.
  async complaints() {
    const out = complaints;
    complaints = [];
    return out;
  },
  // axe answers the violations that axe-core finds in the page.
  async axe() {
    const subject = look.withoutScript ? await copy() : page;
    await subject.evaluate(axe);
    const { violations, passes } = await subject.evaluate(() => window.axe.run(document, { resultTypes: ["violations", "passes"] }));
    const lines = violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.html.slice(0, 200)}`));
    return { violations: lines, passes: passes.length };
  },
  overflow: () => page.evaluate(overflow),
  text: () => page.evaluate(() => document.body.innerText),
  // tab moves the focus to an element, by the keyboard alone.
  async tab({ role, name }) {
    const wanted = find({ role, name });
    await wanted.first().waitFor({ state: "visible" });
    if ((await wanted.count()) !== 1) throw new Error(`${await wanted.count()} elements are a ${role} named ${name}`);
    for (let i = 0; i < maxTabs; i++) {
      if (await wanted.evaluate(isFocused)) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not lead to the ${role} named ${name}`);
  },
  press: ({ key }) => page.keyboard.press(key),
  // follow presses Enter, and waits for the next page.
  async follow() {
    const next = page.waitForEvent("framenavigated");
    await page.keyboard.press("Enter");
    await next;
    await page.waitForLoadState("load");
  },
  type: ({ text }) => page.keyboard.type(text),
  // choose answers the file chooser that Enter opens.
  async choose({ file }) {
    const chooser = page.waitForEvent("filechooser");
    await page.keyboard.press("Enter");
    await (await chooser).setFiles(file);
  },
  // wait waits for a text of the page.
  async wait({ text }) {
    while (!(await page.locator("body").innerText()).includes(text)) await page.waitForTimeout(50);
  },
  // replace replaces texts of the page, for a picture.
  replace: ({ texts }) =>
    page.evaluate((texts) => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        for (const [before, after] of texts) walker.currentNode.data = walker.currentNode.data.replaceAll(before, after);
      }
    }, texts),
  async shot({ file }) {
    await page.screenshot({ path: file, caret: "hide" });
  },
};

const browser = await launch();
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await bounded(commands[command.do](command))) ?? null };
  } catch (error) {
    answer = { error: `${command.do}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
