/* Figures open alone, as large as the screen; the tables of all numbers can be filtered; what scrolls can be reached by keys. No library, no
network. */
document.addEventListener("DOMContentLoaded", () => {
  // The theme's labels say less than the text that they replace.
  for (const label of document.querySelectorAll("summary[aria-label], .search-button-field")) label.removeAttribute("aria-label");
  // docutils gives what is in a list the role of former times, which a list may not hold (DPUB-ARIA 1.1).
  for (const entry of document.querySelectorAll("[role='doc-biblioentry']")) entry.setAttribute("role", "listitem");
  const article = document.querySelector(".bd-article");
  if (!article) return;
  for (const image of article.querySelectorAll("img")) {
    if (image.closest("a")) continue;
    const link = document.createElement("a");
    link.href = image.dataset.full ?? image.src;
    link.className = "enlarge";
    image.replaceWith(link);
    link.append(image);
  }
  const reach = () => {
    for (const box of article.querySelectorAll("pre, table, div.math, mjx-container, div.output, div.cell_output"))
      if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
  };
  window.addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(reach));
  window.addEventListener("resize", reach);
  const rows = article.querySelectorAll("table[class*='results-'] tbody tr, table.targets tbody tr");
  if (!rows.length) return;
  const label = document.createElement("label");
  label.className = "filter";
  label.textContent = "Show the rows with ";
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "such as: relaxation, spe.D, no";
  label.append(field);
  article.querySelector("h2").closest("section").before(label);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
});
