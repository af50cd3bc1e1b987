// SPDX-License-Identifier: GPL-3.0-or-later
// Samba 4.14. README.md in this folder says how these numbers are found.
// Its structures and slots read the same as those of interface 45; only that one was compiled.

#define VFS_INTERFACE 44
#define SAMBA_MINOR_FIRST 14
#define SAMBA_MINOR_LAST 14

#define SIZE_SMB_REQUEST 200
#define SMB_REQUEST_MID 8
#define SMB_REQUEST_XCONN 112
#define SMB_REQUEST_SMB2REQ 160

#define SIZE_SMB_FILENAME 216
#define SMB_FILENAME_BASE_NAME 0
#define SMB_FILENAME_STREAM_NAME 8
#define SMB_FILENAME_ST 24
#define SMB_FILENAME_TWRP 192

#define SIZE_STAT_EX 168
#define STAT_EX_ST_EX_DEV 0
#define STAT_EX_ST_EX_INO 8
#define STAT_EX_ST_EX_SIZE 56
#define STAT_EX_ST_EX_MTIME 80
#define STAT_EX_ST_EX_CTIME 96

#define SIZE_FILES_STRUCT 416
#define FILES_STRUCT_FSP_NAME 280

#define SIZE_CONNECTION_STRUCT 232
#define CONNECTION_STRUCT_CONNECTPATH 80

#define SIZE_VFS_HANDLE_STRUCT 56
#define VFS_HANDLE_STRUCT_NEXT 0
#define VFS_HANDLE_STRUCT_CONN 24
#define VFS_HANDLE_STRUCT_DATA 40
#define VFS_HANDLE_STRUCT_FREE_DATA 48

#define SIZE_VFS_FN_POINTERS 792
#define SLOT_CONNECT 0
#define SLOT_DISCONNECT 1
#define SLOT_OPENAT 18
#define SLOT_CREATE_FILE 19
#define SLOT_CLOSE 20

// Whether the function takes a directory between the request and the name,
// and whether openat takes its flags in a vfs_open_how.
#define CREATE_FILE_TAKES_DIRFSP 0
#define OPENAT_TAKES_HOW 0

#include "shape.h"
