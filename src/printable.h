// SPDX-License-Identifier: MIT
// What stands between a foreign text and a terminal.
#pragma once

// The text with "?" for each control character (C0, DEL, C1) and each byte that is no UTF-8. Caller
// frees.
char *printable(const char *text);

// Prints "WHO: MESSAGE" to standard error, printable and in one line.
void show_message(const char *who, const char *message);
