/** The login page in the theme that was chosen on the other pages, else in the system's. */
const asked = new URLSearchParams(location.search).get("__theme");
const chosen = asked ?? localStorage.getItem("dinov-theme");
const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark", isDark);
