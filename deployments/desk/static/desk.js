// Passkeys, local times, and the page of a run that changes. Without this script everything but passkeys works.
"use strict";

const encoded = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const decoded = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const usable = window.isSecureContext && "credentials" in navigator && "PublicKeyCredential" in window;

function report(form, text) {
  const trouble = form.querySelector("[data-trouble]");
  trouble.textContent = text;
  trouble.hidden = false;
}

// The challenge is the SHA-256 of the text that the page shows: decision, plan and deadline. The worker computes it again.
async function approve(form) {
  const restore = form.elements.restore?.checked;
  const text = restore ? form.dataset.statementRestore : form.dataset.statement;
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const made = await navigator.credentials.get({
    publicKey: { challenge, rpId: form.dataset.host, userVerification: "required", timeout: 120000 },
  });
  const answer = made.response;
  const parts = [made.rawId, answer.authenticatorData, answer.clientDataJSON, answer.signature];
  form.elements.proof.value = "passkey." + parts.map(encoded).join(".");
  form.elements.credential.value = encoded(made.rawId);
  const decision = Object.assign(document.createElement("input"), { type: "hidden", name: "decision", value: "approve" });
  form.append(decision);
  form.submit();
}

async function enrol(form) {
  const name = form.elements.email.value;
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: decoded(form.dataset.challenge),
      rp: { id: form.dataset.host, name: "Understudy" },
      user: { id: crypto.getRandomValues(new Uint8Array(16)), name, displayName: form.elements.name.value },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      attestation: "none",
      timeout: 120000,
    },
  });
  form.elements.credential.value = encoded(made.rawId);
  form.elements.client.value = encoded(made.response.clientDataJSON);
  form.elements.attestation.value = encoded(made.response.attestationObject);
  form.submit();
}

function onPress(button, act) {
  button.hidden = false;
  const form = button.closest("form");
  button.addEventListener("click", async () => {
    if (!form.reportValidity()) return;
    const typed = form.querySelectorAll("[data-approve]");
    const empty = [...typed].find((each) => !each.value.trim());
    if (empty) { report(form, "Type what the field asks for."); empty.focus(); return; }
    if (!usable) { report(form, "This page cannot use passkeys: they need https, or http://localhost on this machine."); return; }
    try {
      await act(form);
    } catch (error) {
      report(form, error.name === "NotAllowedError" ? "No passkey answered. Nothing was sent; try again." : `The passkey could not be used (${error.name}). Nothing was sent.`);
    }
  });
}

document.querySelectorAll("[data-passkey]").forEach((button) => onPress(button, approve));
document.querySelectorAll("[data-enrol]").forEach((button) => onPress(button, enrol));

function localTimes(where) {
  where.querySelectorAll("time[datetime]").forEach((time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) return;
    const local = Object.assign(document.createElement("span"), { className: "local" });
    local.textContent = ` (${at.toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" })} your time)`;
    time.after(local);
  });
}
localTimes(document);

// A time is picked in the browser's own zone, and sent in UTC.
document.querySelectorAll("[data-moment]").forEach((input) => {
  document.querySelector(`label[for="${input.id}"]`).textContent = "Until (your time)";
  input.form.addEventListener("submit", () => {
    const at = new Date(input.value);
    input.form.elements.until_utc.value = Number.isNaN(at.getTime()) ? "" : at.toISOString();
  });
});

const live = document.querySelector("[data-live]");
if (live) {
  const again = async () => {
    try {
      const response = await fetch(live.dataset.live, { credentials: "same-origin" });
      const text = response.ok ? await response.text() : "";
      if (text && text !== live.dataset.text) {
        live.dataset.text = text;
        live.innerHTML = text; // drawn by the desk's own templates, which escape what they show
        localTimes(live);
      }
    } catch { /* the desk is away for a moment; the next look shows it */ }
    if (!live.querySelector('[data-over="yes"]')) setTimeout(again, 2000);
  };
  if (!live.querySelector('[data-over="yes"]')) setTimeout(again, 1000);
}
