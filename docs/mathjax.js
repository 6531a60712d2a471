// Formulas: \( \) and \[ \] of pages, dollars of notebooks. Code is left alone by MathJax itself.
window.MathJax = {
  tex: { inlineMath: [["\\(", "\\)"], ["$", "$"]], displayMath: [["\\[", "\\]"], ["$$", "$$"]], processEscapes: true },
  options: { ignoreHtmlClass: "md-header|md-sidebar|md-footer" },
};
