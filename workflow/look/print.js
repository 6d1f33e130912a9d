/* Print the built book, but for the pages of the library, into one file: node print.js FOLDER FILE.pdf */
import { resolve } from "node:path";
import { opened } from "./opened.js";

const { origin, browser, close } = await opened(resolve(process.argv[2]));
const page = await browser.newPage();
page.setDefaultTimeout(600_000);
await page.goto(`${origin}/intro.html`, { waitUntil: "load" });
await page.evaluate(async () => {
  const links = document.querySelectorAll("nav.bd-links a.reference.internal");
  const addresses = new Set([...links].map((link) => link.href.split("#")[0]).filter((href) => !/\/api[^/]*$/.test(href)));
  const first = document.querySelector("article.bd-article");
  const called = (href) => `page-${new URL(href).pathname.replaceAll(/\W/g, "-")}`;
  const articles = [first];
  for (const address of addresses) {
    if (address === location.href.split("#")[0]) continue;
    const read = new DOMParser().parseFromString(await (await fetch(address)).text(), "text/html").querySelector("article.bd-article");
    for (const element of read.querySelectorAll("[src]")) element.src = new URL(element.getAttribute("src"), address);
    for (const link of read.querySelectorAll("a[href]")) link.href = new URL(link.getAttribute("href"), address);
    for (const image of read.querySelectorAll("img")) image.loading = "eager";
    read.id = called(address);
    articles.push(read);
  }
  first.id = called(location.href);
  for (const article of articles) {
    for (const odd of article.querySelectorAll("script, .headerlink, [id^='3dmolviewer']")) odd.remove();
    for (const link of article.querySelectorAll("a[href]"))
      if (link.origin === location.origin) link.setAttribute("href", link.hash || `#${called(link.href)}`);
    article.style.breakBefore = "page";
  }
  document.body.replaceChildren(...articles);
  await new Promise((done) => {
    const script = document.createElement("script");
    window.MathJax = { loader: { load: ["input/tex", "output/chtml"] }, options: { processHtmlClass: "math" } };
    script.src = "vendor/mathjax/startup.js";
    script.onload = done;
    document.head.append(script);
  });
  await window.MathJax.startup.promise;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
});
await page.pdf({ path: process.argv[3], format: "A4", outline: true, tagged: true, margin: { top: "15mm", bottom: "15mm", left: "12mm", right: "12mm" } });
await close();
