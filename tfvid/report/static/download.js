// Files that a page makes and saves itself. The run's page and the TensorBoard plugin share this file; it imports nothing.

// Saves a Blob under a name made of `parts`.
export function download(blob, suffix, ...parts) {
  const url = URL.createObjectURL(blob);
  const name = parts.join(" ").replace(/[^\p{L}\p{N}.-]+/gu, "_");
  const link = document.createElement("a");
  link.href = url;
  link.download = `${name}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000); // the browser reads it after the click
}

// The text of a CSV file.
export function csvText(rows) {
  return rows.map((row) => row.map(csvField).join(",") + "\r\n").join("");
}

// A spreadsheet would run a text that begins like a formula: it gets an apostrophe.
function csvField(value) {
  if (typeof value !== "string") return value ?? "";
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
