// What this page may do, on top of TensorBoard's own policy: load from this server only, never read text as code, and
// never read text as markup. Logged names and labels are text; should one ever come near either, the browser refuses.
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
