/* Look at each page of the built book in a browser, light and dark, on a desk and on a phone: node look.js FOLDER [PART-OF-A-NAME]

Fails where the console has an error, a request leaves the folder or finds nothing, axe has a serious finding, a page is wider than the
screen, or its scripts and fonts weigh more than 1.5 MB. With SHOTS=FOLDER it leaves a picture of each. */
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { opened } from "./opened.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const HEAVIEST = 1.5e6;
const VIEWS = [
  { name: "desk, light", width: 1280, height: 900, colorScheme: "light", axe: true },
  { name: "desk, dark", width: 1280, height: 900, colorScheme: "dark", axe: true },
  { name: "phone, dark", width: 390, height: 844, colorScheme: "dark" },
  { name: "phone, light", width: 390, height: 844, colorScheme: "light", axe: true },
];

const root = resolve(process.argv[2] ?? "_build/html");
const wanted = process.argv[3] ?? "";
const shots = process.env.SHOTS;
// Pages of source code are all alike, and a hundred; the first one only leads to another.
const pages = readdirSync(root, { recursive: true })
  .filter((name) => name.endsWith(".html") && !/^_(static|modules)/.test(name) && name.includes(wanted))
  .filter((name) => !/http-equiv="refresh"/i.test(readFileSync(join(root, name), "utf8")))
  .sort();
if (!pages.length) throw new Error(`there is no page in ${root}: make book`);

const { origin, browser, close } = await opened(root);
const context = await browser.newContext();
context.setDefaultTimeout(300_000);
let findings = 0;
let heaviest = ["", 0];
for (const name of pages) {
  const found = new Set();
  const page = await context.newPage();
  let weight = 0;
  page.on("pageerror", (error) => found.add(`error: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && found.add(`console: ${message.text()}`));
  page.on("request", (request) => /^https?:/.test(request.url()) && !request.url().startsWith(origin) && found.add(`asks ${request.url()}`));
  page.on("response", (response) => {
    if (response.status() >= 400) found.add(`${response.status()}: ${response.url()}`);
    const path = join(root, decodeURIComponent(new URL(response.url()).pathname));
    if (["script", "font"].includes(response.request().resourceType())) weight += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  });
  for (const { name: view, axe, width, height, colorScheme } of VIEWS) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    if (page.url() === "about:blank") {
      await page.goto(`${origin}/${name}`, { waitUntil: "load" });
      await page.evaluate(() => window.MathJax?.startup?.promise);
      await page.addScriptTag({ path: AXE });
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 0) found.add(`${view}: ${wide} px wider than the screen`);
    if (axe) {
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const { id, impact, nodes } of violations)
        if (["serious", "critical"].includes(impact))
          found.add(`${view}: ${impact}, ${id}, ${nodes.length} times, as in ${nodes[0].target}: ${nodes[0].html.slice(0, 200)}`);
    }
    if (shots) {
      mkdirSync(shots, { recursive: true });
      await page.screenshot({ path: join(shots, `${name.replaceAll("/", "_")}, ${view}.png`), fullPage: true });
    }
  }
  if (weight > HEAVIEST) found.add(`${(weight / 1e6).toFixed(2)} MB of scripts and fonts`);
  if (weight > heaviest[1]) heaviest = [name, weight];
  await page.close();
  findings += found.size;
  console.log([`${name}: ${found.size} findings`, ...found].join("\n  "));
}
await close();
const weight = `${(heaviest[1] / 1e6).toFixed(2)} MB`;
console.log(`${pages.length} pages in ${VIEWS.length} views: ${findings} findings; the most scripts and fonts, ${weight}, are those of ${heaviest[0]}`);
process.exitCode = findings ? 1 : 0;
