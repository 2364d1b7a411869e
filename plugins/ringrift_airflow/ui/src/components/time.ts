/** Times and numbers for people. */

/** `2 d 3 h`, `3 h 12 min`, `12 min`, `40 s`; as `span` of the library. */
export function span(seconds: number): string {
  const all = Math.max(0, Math.round(seconds));
  const days = Math.floor(all / 86_400);
  const hours = Math.floor((all % 86_400) / 3600);
  const minutes = Math.floor((all % 3600) / 60);
  const parts = [days && `${days} d`, hours && `${hours} h`, minutes && `${minutes} min`].filter(Boolean);
  return parts.slice(0, 2).join(" ") || `${all} s`;
}

/** The reader's own clock, without the date when it is today's. */
export function clock(at: number, now = Date.now() / 1000): string {
  const date = new Date(at * 1000);
  const today = new Date(now * 1000).toDateString() === date.toDateString();
  return date.toLocaleString(undefined, {
    hour: "2-digit",
    hourCycle: "h23",
    minute: "2-digit",
    ...(today ? {} : { day: "2-digit", month: "short" }),
  });
}

export const whole = (number: number): string => Math.round(number).toLocaleString("en").replaceAll(",", " ");

/** "1 game", "2 games"; the noun in the singular. */
export const counted = (number: number, noun: string): string =>
  `${whole(number)} ${noun}${Math.round(number) === 1 ? "" : "s"}`;

/** With its sign, and a real minus. */
export const signed = (number: number, digits = 0): string =>
  `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`;
