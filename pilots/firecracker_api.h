// SPDX-License-Identifier: MIT
// Requests to Firecracker's API, at VM_API in the directory of an instance:
// https://github.com/firecracker-microvm/firecracker/blob/main/src/firecracker/swagger/firecracker.yaml
#pragma once

#include "doc.h"
#include "firecracker.h"

// Adds a text to the body of a request.
void api_add(struct node *body, const char *key, const char *value);

// Sends one request and waits for its answer, at most so long. The first may come before the engine
// is ready for it.
int api_request(struct vm *vm, const char *dir, const char *request, const struct node *body,
		unsigned seconds, struct error *err);
