// The page's content security policy, in addition to TensorBoard's own: the page loads from this server only, and never
// interprets text as code or as markup. Logged names and labels are untrusted text; the browser blocks an attempt to
// use them as code or markup.
import { el } from "./dom.js";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:", // data: is TensorBoard's icon
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

export const guard = () => document.head.append(el("meta", { "http-equiv": "Content-Security-Policy", content: POLICY }));
