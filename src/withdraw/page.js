'use strict';
{
  const form = document.querySelector('form');
  const said = document.getElementById('said');
  const answer = document.getElementById('answer');
  const done = {
    export: 'This is everything.',
    restrict: 'Your rows are in no report any more.',
    erase: 'Your rows are erased.',
    withdraw: 'Your rows are erased, and nothing more is taken with this token.',
  };
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const verb = event.submitter?.value || 'export';
    const { token, site } = form.elements;
    const body = { token: token.value.trim() };
    if (site.value.trim()) body.site = site.value.trim();
    said.textContent = 'Asking …';
    answer.hidden = true;
    try {
      const reply = await fetch(`/v1/subjects/${verb}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const told = await reply.json();
      if (reply.status === 202) said.textContent = 'It is written down and will be done as soon as the database is back.';
      else said.textContent = reply.ok ? done[verb] : told.error.message;
      answer.textContent = JSON.stringify(told, null, 2);
      answer.hidden = !reply.ok;
    } catch {
      said.textContent = 'The collector did not answer. Please try again later.';
    }
  });
}
