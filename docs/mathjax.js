// What MathJax looks for: the formulas that arithmatex marks in pages, and dollars in notebooks.
window.MathJax = {
  tex: { inlineMath: [["\\(", "\\)"], ["$", "$"]], displayMath: [["\\[", "\\]"], ["$$", "$$"]], processEscapes: true },
  options: { ignoreHtmlClass: ".*", processHtmlClass: "arithmatex|jp-RenderedMarkdown" },
};
