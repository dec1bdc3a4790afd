/** Amounts and moments as people read them. */

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** 1.4 MB, in steps of 1000 as file managers count. */
export function bytes(count) {
  const power = count < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  const amount = count / 1000 ** power;
  return `${amount < 10 && power ? amount.toFixed(1) : Math.round(amount)} ${UNITS[power]}`;
}

/** 8 s, 2 min 5 s, 1 h 20 min; "–" where it is not known. */
export function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  if (!minutes) return `${rest} s`;
  return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
}

const STEPS = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [7, "day"],
  [4.35, "week"],
  [12, "month"],
  [Infinity, "year"],
];

/** 3 hours ago, yesterday, 2 months ago. */
export function ago(moment, now = Date.now()) {
  let amount = Math.max(0, (now - new Date(moment).getTime()) / 1000);
  if (amount < 45) return "just now";
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [size, unit] of STEPS) {
    if (Math.round(amount) < size) return words.format(-Math.round(amount), unit);
    amount /= size;
  }
  return "";
}
